"""Synthetic (task, Python function) pairs for finetuning a tiny language model.

A template mentions slots such as $x or $num.c; a slot keeps its value within
one pair, and {{a|b}} picks one wording each time it is met.
"""

import re
from collections import namedtuple

HELDOUT_TASKS = (
    "greet the user by name",
    "return the second largest number in a list",
    "count the vowels in a word",
    "compute the average of a list of grades",
    "check whether a year is a leap year",
    "reverse the words in a sentence",
    "convert a distance from miles to kilometers",
    "return the factorial of a number",
    "compute the nth fibonacci number",
    "remove duplicates from a list",
    "check whether two words are anagrams",
    "count the lines in a text file",
    "thank a customer for an order",
    "print the multiplication table of a number",
    "find the longest word in a sentence",
    "write a birthday message for a friend",
)

HELDOUT_WORDS = tuple(
    frozenset(words.split())
    for words in (
        "greet", "greeting", "hello", "hi", "welcome", "second largest", "second highest",
        "vowels", "vowel", "average", "mean", "leap", "reverse words", "reverse sentence",
        "miles", "factorial", "fibonacci", "duplicates", "duplicate", "anagrams", "anagram",
        "count lines file", "thank", "thanks", "multiplication", "longest word",
        "longest words", "birthday",
    )
)

Template = namedtuple("Template", "task names params returns bodies fields")

SLOTS = {
    # verbs
    "ret": ("return", "find", "get", "return"),
    "comp": ("compute", "calculate", "work out"),
    "chk": ("check whether", "check if", "tell whether", "test whether"),
    "prt": ("print", "show", "display"),
    "mk": ("return", "build", "create", "make"),
    "get": ("get", "find", "select", "collect", "pick", "keep"),
    "calc": ("compute", "calc", "get", "calculate", "find"),
    "is": ("is", "check", "check_if"),
    "show": ("print", "show", "display"),
    "make": ("make", "build", "create", "format"),
    # variable names, in pools that do not overlap
    "x": ("x", "number", "value", "num"),
    "xs": ("numbers", "values", "nums", "data", "sequence"),
    "w": ("word", "w", "token"),
    "words": ("words", "strings", "terms", "tokens"),
    "text": ("text", "sentence", "phrase", "line"),
    "s": ("text", "string", "s", "value"),
    "ch": ("char", "c", "letter", "ch"),
    "items": ("items", "elements", "things", "entries"),
    "item": ("item", "element", "thing"),
    "n": ("n", "limit", "stop"),
    "i": ("i", "index", "pos"),
    "total": ("total", "amount", "subtotal"),
    "count": ("count", "counter", "hits"),
    "res": ("result", "output", "found", "selected", "kept"),
    "best": ("best", "winner", "top"),
    "bk": ("best_key", "record", "best_so_far"),
    "groups": ("groups", "grouped", "buckets", "result"),
    "msg": ("message", "msg", "info", "note"),
    "path": ("path", "filename", "file_path"),
    "f": ("file", "f", "handle"),
    "d": ("mapping", "table", "lookup", "scores", "prices"),
    "key": ("key", "k", "name"),
    "val": ("value", "v", "amount"),
    "pname": ("name", "person", "full_name"),
    "city": ("city", "town", "place"),
    "k": tuple(str(k) for k in range(2, 13)),
    "dig": tuple("123456789"),
    "few": ("2", "3", "4"),
    "big": ("10", "20", "25", "50", "75", "100", "200", "500", "1000"),
    "abc": tuple("bcdefghklmnoprstw"),
    # phrase .t, code .c, name .n, extra .p
    "num": (
        ("even numbers", "$x % 2 == 0", "even"), ("odd numbers", "$x % 2 == 1", "odd"),
        ("positive numbers", "$x > 0", "positive"), ("negative numbers", "$x < 0", "negative"),
        ("non-zero numbers", "$x != 0", "nonzero"),
        ("two-digit numbers", "10 <= $x <= 99", "two_digit"),
        ("numbers greater than $big", "$x > $big", "large"),
        ("numbers smaller than $big", "$x < $big", "small"),
        ("numbers divisible by $k", "$x % $k == 0", "divisible"),
        ("numbers not divisible by $k", "$x % $k != 0", "indivisible"),
        ("numbers that end in $dig", "str($x).endswith(\"$dig\")", "ending"),
        ("numbers between $k and 100", "$k <= $x <= 100", "in_range"),
    ),
    "nsrc": (
        ("in a list", "$xs", "$xs:list[int]"), ("in a list of numbers", "$xs", "$xs:list[int]"),
        ("between two bounds", "range(low, high + 1)", "low:int; high:int"),
        ("in a tuple", "$xs", "$xs:tuple"), ("among the values of a dictionary", "$d.values()", "$d:dict"),
        ("in a comma-separated string", "map(int, $text.split(\",\"))", "$text:str"),
    ),
    "wd": (
        ("words longer than $k letters", "len($w) > $k", "long_words"),
        ("words shorter than $k letters", "len($w) < $k", "short_words"),
        ("words with exactly $k letters", "len($w) == $k", "words_of_length"),
        ("words that start with the letter $abc", "$w.startswith(\"$abc\")", "words_with_prefix"),
        ("words that end with the letter $abc", "$w.endswith(\"$abc\")", "words_with_ending"),
        ("words that contain the letter $abc", "\"$abc\" in $w", "words_with_letter"),
        ("words without the letter $abc", "\"$abc\" not in $w", "words_without_letter"),
        ("capitalized words", "$w[0].isupper()", "capitalized_words"),
        ("words written in upper case", "$w.isupper()", "upper_words"),
        ("words made of digits only", "$w.isdigit()", "digit_words"),
    ),
    "wsrc": (
        ("in a sentence", "$text.split()", "$text:str"), ("in a list", "$words", "$words:list[str]"),
        ("in a text", "$text.replace(\",\", \" \").split()", "$text:str"),
        ("in a comma-separated string", "$text.split(\",\")", "$text:str"),
    ),
    "kind": (
        ("digits", "$ch.isdigit()", "digits"), ("letters", "$ch.isalpha()", "letters"),
        ("spaces", "$ch == \" \"", "spaces"), ("capital letters", "$ch.isupper()", "capitals"),
        ("lower-case letters", "$ch.islower()", "lowercase"),
        ("punctuation marks", "$ch in \".,;:!?\"", "punctuation"),
        ("letters equal to $abc", "$ch.lower() == \"$abc\"", "letter_$abc"),
    ),
    "dom": (
        ("products", "product", "price", "category"), ("students", "student", "score", "class"),
        ("employees", "employee", "salary", "team"), ("books", "book", "length", "author"),
        ("cities", "city", "population", "country"), ("orders", "order", "total", "status"),
        ("movies", "movie", "rating", "genre"), ("players", "player", "level", "club"),
        ("cars", "car", "mileage", "brand"), ("songs", "song", "duration", "artist"),
        ("recipes", "recipe", "time", "course"), ("tasks", "task", "priority", "owner"),
        ("flights", "flight", "delay", "airline"), ("houses", "house", "rent", "street"),
    ),
    "sup": (("highest", "max", ">"), ("lowest", "min", "<"), ("largest", "max", ">"), ("smallest", "min", "<")),
    "dir": (
        ("in ascending order", ""), ("in descending order", ", reverse=True"),
        ("from low to high", ""), ("from high to low", ", reverse=True"),
    ),
    "cmp": (
        ("above", ">", "above"), ("below", "<", "below"), ("of at least", ">=", "at_least"),
        ("of at most", "<=", "at_most"),
    ),
    "pow": (
        ("squares", "$x ** 2", "squares"), ("cubes", "$x ** 3", "cubes"), ("doubles", "$x * 2", "doubles"),
        ("halves", "$x / 2", "halves"), ("absolute values", "abs($x)", "absolutes"),
        ("opposites", "-$x", "opposites"), ("last digits", "abs($x) % 10", "last_digits"),
        ("remainders modulo $k", "$x % $k", "remainders"), ("binary forms", "format($x, \"b\")", "binaries"),
    ),
    "power": (
        ("squares", "$x ** 2", "squares"), ("cubes", "$x ** 3", "cubes"), ("doubles", "$x * 2", "doubles"),
        ("halves", "$x / 2", "halves"), ("absolute values", "abs($x)", "absolutes"),
        ("last digits", "abs($x) % 10", "last_digits"), ("remainders modulo $k", "$x % $k", "remainders"),
    ),
    "wmap": (
        ("upper case", "$w.upper()", "upper"), ("title case", "$w.title()", "title"),
        ("lower case", "$w.lower()", "lower"),
    ),
    "wkey": (
        ("first letter", "$w[0]", "first_letter"), ("length", "len($w)", "length"),
        ("last letter", "$w[-1]", "last_letter"), ("first $few letters", "$w[:$few]", "prefix"),
    ),
    "shape": (
        ("area of a trapezoid", "(a + b) / 2 * height", "trapezoid_area", "a:float; b:float; height:float"),
        ("area of a triangle", "base * height / 2", "triangle_area", "base:float; height:float"),
        ("area of a rectangle", "width * height", "rectangle_area", "width:float; height:float"),
        ("perimeter of a rectangle", "2 * (width + height)", "rectangle_perimeter", "width:float; height:float"),
        ("volume of a box", "width * height * depth", "box_volume", "width:float; height:float; depth:float"),
        ("area of a circle", "3.14159 * radius ** 2", "circle_area", "radius:float"),
        ("volume of a cylinder", "3.14159 * radius ** 2 * height", "cylinder_volume", "radius:float; height:float"),
        ("surface of a cube", "6 * side ** 2", "cube_surface", "side:float"),
        ("diagonal of a rectangle", "(width ** 2 + height ** 2) ** 0.5", "rectangle_diagonal",
         "width:float; height:float"),
        ("speed from a distance and a time", "distance / hours", "speed", "distance:float; hours:float"),
        ("price after a discount", "price * (1 - discount / 100)", "discounted_price", "price:float; discount:float=10"),
        ("price with tax", "price * (1 + rate / 100)", "price_with_tax", "price:float; rate:float=20"),
        ("interest on a loan", "amount * rate * years / 100", "loan_interest", "amount:float; rate:float; years:int=1"),
        ("body mass index of a person", "weight / height ** 2", "body_mass_index", "weight:float; height:float"),
        ("pay of a worker", "hours * wage", "pay", "hours:float; wage:float=15"),
        ("tip for a meal", "bill * percent / 100", "tip", "bill:float; percent:float=10"),
        ("fuel needed for a trip", "distance * consumption / 100", "fuel", "distance:float; consumption:float=6"),
    ),
    "unit": (
        ("a temperature from celsius to kelvin", "degrees + 273.15", "celsius_to_kelvin", "degrees"),
        ("a temperature from kelvin to celsius", "degrees - 273.15", "kelvin_to_celsius", "degrees"),
        ("a temperature from celsius to fahrenheit", "degrees * 9 / 5 + 32", "celsius_to_fahrenheit", "degrees"),
        ("minutes to seconds", "minutes * 60", "minutes_to_seconds", "minutes"),
        ("hours to minutes", "hours * 60", "hours_to_minutes", "hours"),
        ("days to hours", "days * 24", "days_to_hours", "days"),
        ("pounds to kilograms", "pounds * 0.4536", "pounds_to_kilograms", "pounds"),
        ("inches to centimeters", "inches * 2.54", "inches_to_centimeters", "inches"),
        ("meters to feet", "meters * 3.2808", "meters_to_feet", "meters"),
        ("liters to gallons", "liters / 3.785", "liters_to_gallons", "liters"),
        ("grams to ounces", "grams / 28.35", "grams_to_ounces", "grams"),
        ("degrees to radians", "degrees * 3.14159 / 180", "degrees_to_radians", "degrees"),
        ("bytes to kilobytes", "size / 1024", "bytes_to_kilobytes", "size"),
        ("euros to dollars", "euros * 1.1", "euros_to_dollars", "euros"),
    ),
    "who": ("person", "student", "employee", "customer", "player", "member", "patient", "teacher", "driver", "guest"),
    "thing": ("product", "book", "car", "house", "bike", "phone", "chair", "lamp", "table", "camera", "coat"),
    "pet": ("dog", "cat", "horse", "bird", "rabbit", "fish"),
    "mark": ("*", "-", "=", "#", "~", "+"),
    "end": ("Best regards", "Kind regards", "Yours truly", "Goodbye", "See you soon", "All the best", "Take care"),
    "low": (
        ("the stock of a product is low", "stock < minimum", "stock:int; minimum:int=5", "Only {stock} left in stock"),
        ("a battery is nearly empty", "level < limit", "level:int; limit:int=15", "Battery at {level} percent"),
        ("a room is too warm", "degrees > limit", "degrees:float; limit:float=25", "Too warm: {degrees} degrees"),
        ("a password is too short", "len(password) < size", "password:str; size:int=8", "The password is too short"),
        ("a driver is too fast", "speed > limit", "speed:int; limit:int=50", "Slow down, {speed} is too fast"),
        ("a bill is late", "days > limit", "days:int; limit:int=30", "The bill is {days} days late"),
        ("a disk is nearly full", "used > limit", "used:int; limit:int=90", "The disk is {used} percent full"),
        ("a budget is spent", "spent >= budget", "spent:float; budget:float=100", "All {budget} have been spent"),
        ("a train is delayed", "delay > 0", "train:str; delay:int", "Train {train} is {delay} minutes late"),
        ("a user has new mail", "unread > 0", "unread:int", "You have {unread} new messages"),
    ),
}

IDIOMS = r"""
pick
| return [$out for $it in $src if $when]
| $res = [$out for $it in $src if $when]
  return $res
| $res = []
  for $it in $src:
      if $when:
          $res.append($out)
  return $res
| $res = []
  for $it in $src:
      if not ($when):
          continue
      $res.append($out)
  return $res
count
| return sum(1 for $it in $src if $when)
| return len([$it for $it in $src if $when])
| $count = 0
  for $it in $src:
      if $when:
          $count += 1
  return $count
total
| return sum($out for $it in $src if $when)
| $res = [$out for $it in $src if $when]
  return sum($res)
| $total = 0
  for $it in $src:
      if $when:
          $total += $out
  return $total
any
| return any($when for $it in $src)
| for $it in $src:
      if $when:
          return True
  return False
all
| return all($when for $it in $src)
| for $it in $src:
      if not ($when):
          return False
  return True
first
| return next(($out for $it in $src if $when), None)
| for $it in $src:
      if $when:
          return $out
  return None
| $res = [$out for $it in $src if $when]
  if not $res:
      return None
  return $res[0]
map
| return [$out for $it in $src]
| $res = []
  for $it in $src:
      $res.append($out)
  return $res
show
| for $it in $src:
      if $when:
          print($out)
| $res = [$out for $it in $src if $when]
  for $item in $res:
      print($item)
yield
| for $it in $src:
      if $when:
          yield $out
| yield from ($out for $it in $src if $when)
split
| $res = [$out for $it in $src if $when]
  others = [$out for $it in $src if not ($when)]
  return $res, others
| $res, others = [], []
  for $it in $src:
      if $when:
          $res.append($out)
      else:
          others.append($out)
  return $res, others
best
| return $sup.c($src, key=lambda $it: $out)
| $best = None
  $bk = None
  for $it in $src:
      if $bk is None or $out $sup.n $bk:
          $best = $it
          $bk = $out
  return $best
| if not $src:
      return None
  return $sup.c($src, key=lambda $it: $out)
sort
| return sorted($src, key=lambda $it: $out$dir.c)
| $res = list($src)
  $res.sort(key=lambda $it: $out$dir.c)
  return $res
group
| $groups = {}
  for $it in $src:
      $groups.setdefault($out, []).append($it)
  return $groups
| from collections import defaultdict
  $groups = defaultdict(list)
  for $it in $src:
      $groups[$out].append($it)
  return dict($groups)
| $groups = {}
  for $it in $src:
      if $out not in $groups:
          $groups[$out] = []
      $groups[$out].append($it)
  return $groups
tally
| from collections import Counter
  return Counter($out for $it in $src)
| counts = {}
  for $it in $src:
      counts[$out] = counts.get($out, 0) + 1
  return counts
| counts = {}
  for $it in $src:
      if $out in counts:
          counts[$out] += 1
      else:
          counts[$out] = 1
  return counts
index
| return {$out: $when for $it in $src}
| $res = {}
  for $it in $src:
      $res[$out] = $when
  return $res
formula
| return $out
| $res = $out
  return $res
| if $arg < 0:
      raise ValueError("$arg must not be negative")
  return $out
| $res = $out
  return round($res, 2)
| return round($out, digits)
warn
| if $when:
      print($out)
| if $when:
      $msg = $out
      print($msg)
| if not ($when):
      return
  print($out)
| if $when:
      print($out)
  else:
      print("Everything is fine")
say
| print($out)
| $msg = $out
  print($msg)
| if not $arg:
      print("Nothing to show")
      return
  print($out)
message
| return $out
| $msg = $out
  return $msg
| if not $arg:
      return ""
  return $out
| if not $arg:
      raise ValueError("$arg is missing")
  $msg = $out
  return $msg
"""

# idiom and task, then: function names (parameters) -> type | source | item | value | condition
ROWS = r"""
pick: $ret {{the|all|all the}} $num.t $nsrc.t
 $get_$num.n $num.n_numbers filter_$num.n ($nsrc.n) -> list[int] | $nsrc.c | $x | $x | $num.c
count: count {{the|all}} $num.t $nsrc.t
 count_$num.n count_$num.n_numbers how_many_$num.n ($nsrc.n) -> int | $nsrc.c | $x | $x | $num.c
total: {{sum|add up|return the sum of}} {{the|all}} $num.t $nsrc.t
 sum_$num.n add_$num.n total_$num.n sum_of_$num.n ($nsrc.n) -> int | $nsrc.c | $x | $x | $num.c
total: $comp the sum of the $power.t of {{the|all}} $num.t $nsrc.t
 sum_$num.n_$power.n sum_of_$power.n ($nsrc.n) -> float | $nsrc.c | $x | $power.c | $num.c
any: $chk there are any $num.t $nsrc.t
 has_$num.n any_$num.n contains_$num.n ($nsrc.n) -> bool | $nsrc.c | $x | $x | $num.c
all: $chk there are only $num.t $nsrc.t
 all_$num.n only_$num.n ($nsrc.n) -> bool | $nsrc.c | $x | $x | $num.c
first: $ret the first of the $num.t $nsrc.t
 first_$num.n find_first_$num.n ($nsrc.n) -> int | $nsrc.c | $x | $x | $num.c
pick: return the $pow.t of {{the|all}} $num.t $nsrc.t
 $pow.n_of_$num.n $num.n_$pow.n ($nsrc.n) -> list | $nsrc.c | $x | $pow.c | $num.c
pick: return the $pow.t of {{the|all}} $num.t up to n
 $num.n_$pow.n_up_to $pow.n_up_to (n:int) -> list | range(1, n + 1) | $x | $pow.c | $num.c
map: return the $pow.t of the numbers $nsrc.t
 $pow.n_of $get_$pow.n all_$pow.n ($nsrc.n) -> list | $nsrc.c | $x | $pow.c
show: $prt the $num.t $nsrc.t
 $show_$num.n $show_$num.n_numbers ($nsrc.n) -> None | $nsrc.c | $x | $x | $num.c
show: $prt the $pow.t of the $num.t up to n
 $show_$pow.n $show_$num.n_$pow.n (n:int=20) -> None | range(1, n + 1) | $x | $pow.c | $num.c
yield: yield the $num.t $nsrc.t one by one
 $num.n_numbers each_$num.n generate_$num.n ($nsrc.n) | $nsrc.c | $x | $x | $num.c
yield: generate the $pow.t of the $num.t up to a limit
 generate_$pow.n $pow.n_until each_$num.n_$pow.n (limit:int=100) | range(limit + 1) | $x | $pow.c | $num.c
split: split {{a list|a list of numbers}} into $num.t and the rest
 split_$num.n partition_$num.n separate_$num.n ($xs:list[int]) -> tuple | $xs | $x | $x | $num.c
index: map the numbers $nsrc.t to their $pow.t
 map_$pow.n $pow.n_table number_$pow.n ($nsrc.n) -> dict | $nsrc.c | $x | $x | $pow.c
first: $ret the position of the first of the $num.t in a list
 position_of_$num.n first_$num.n_index ($xs:list[int]) -> int | enumerate($xs) | $i, $x | $i | $num.c
pick: $ret the positions of the $num.t in a list
 positions_of_$num.n $num.n_indices ($xs:list[int]) -> list[int] | enumerate($xs) | $i, $x | $i | $num.c
pick: $ret the numbers in a list $cmp.t a limit
 numbers_$cmp.n keep_$cmp.n filter_$cmp.n ($xs:list[float]; limit:float=$big) -> list | $xs | $x | $x | $x $cmp.c limit
count: count the numbers in a list $cmp.t a limit
 count_$cmp.n count_numbers_$cmp.n ($xs:list[float]; limit:float=$big) -> int | $xs | $x | $x | $x $cmp.c limit
pick: $ret {{the|all}} $wd.t $wsrc.t
 $get_$wd.n $wd.n filter_$wd.n ($wsrc.n) -> list[str] | $wsrc.c | $w | $w | $wd.c
count: count {{the|all}} $wd.t $wsrc.t
 count_$wd.n number_of_$wd.n ($wsrc.n) -> int | $wsrc.c | $w | $w | $wd.c
any: $chk there are $wd.t $wsrc.t
 has_$wd.n contains_$wd.n any_$wd.n ($wsrc.n) -> bool | $wsrc.c | $w | $w | $wd.c
first: $ret the first of the $wd.t $wsrc.t
 first_of_$wd.n find_$wd.n ($wsrc.n) -> str | $wsrc.c | $w | $w | $wd.c
pick: return the $wd.t $wsrc.t in $wmap.t
 $wmap.n_$wd.n $get_$wd.n ($wsrc.n) -> list[str] | $wsrc.c | $w | $wmap.c | $wd.c
map: turn the words $wsrc.t into $wmap.t
 to_$wmap.n $wmap.n_words words_to_$wmap.n ($wsrc.n) -> list[str] | $wsrc.c | $w | $wmap.c
show: $prt the $wd.t $wsrc.t
 $show_$wd.n ($wsrc.n) -> None | $wsrc.c | $w | $w | $wd.c
total: count the letters of the $wd.t $wsrc.t
 letters_in_$wd.n count_letters ($wsrc.n) -> int | $wsrc.c | $w | len($w) | $wd.c
split: split the words of a list into $wd.t and others
 split_$wd.n separate_$wd.n ($words:list[str]) -> tuple | $words | $w | $w | $wd.c
group: group the words $wsrc.t by their $wkey.t
 group_by_$wkey.n words_by_$wkey.n ($wsrc.n) -> dict | $wsrc.c | $w | $wkey.c
tally: count how many words $wsrc.t share the same $wkey.t
 count_by_$wkey.n tally_$wkey.n ($wsrc.n) -> dict | $wsrc.c | $w | $wkey.c
sort: sort the words $wsrc.t by their $wkey.t $dir.t
 sort_by_$wkey.n order_by_$wkey.n ($wsrc.n) -> list[str] | $wsrc.c | $w | $wkey.c
index: map the words $wsrc.t to their $wkey.t
 $wkey.n_of_words map_to_$wkey.n ($wsrc.n) -> dict | $wsrc.c | $w | $w | $wkey.c
count: count the $kind.t in a {{string|text|password|title}}
 count_$kind.n number_of_$kind.n ($s:str) -> int | $s | $ch | $ch | $kind.c
any: $chk a {{string|text|password|title}} contains $kind.t
 has_$kind.n contains_$kind.n ($s:str) -> bool | $s | $ch | $ch | $kind.c
all: $chk a {{string|text|code}} consists of $kind.t only
 only_$kind.n is_all_$kind.n ($s:str) -> bool | $s | $ch | $ch | $kind.c
pick: $ret the $kind.t of a {{string|text|title}} as a list
 $get_$kind.n list_$kind.n ($s:str) -> list[str] | $s | $ch | $ch | $kind.c
first: $ret the position of the first of the $kind.t in a text
 position_of_$kind.n first_$kind.n ($s:str) -> int | enumerate($s) | $i, $ch | $i | $kind.c
tally: count how often each character occurs in a {{string|text|title}}
 count_characters letter_counts char_frequencies ($s:str) -> dict | $s | $ch | $ch
pick: $ret the $dom.t with a $dom.n $cmp.t $big
 $dom.t_$cmp.n $get_$dom.t ($dom.t:list[dict]) -> list[dict] | $dom.t | $dom.c | $dom.c | $dom.c["$dom.n"] $cmp.c $big
pick: list the names of the $dom.t with a $dom.n $cmp.t a limit
 names_of_$dom.t $dom.c_names ($dom.t:list[dict]; limit:int=$big) -> list | $dom.t | $dom.c | $dom.c["name"] | $dom.c["$dom.n"] $cmp.c limit
pick: $ret the $dom.t with a given $dom.p
 $dom.t_by_$dom.p filter_by_$dom.p ($dom.t:list[dict]; wanted:str) -> list[dict] | $dom.t | $dom.c | $dom.c | $dom.c["$dom.p"] == wanted
count: count the $dom.t with a $dom.n $cmp.t $big
 count_$dom.t count_$dom.t_$cmp.n ($dom.t:list[dict]) -> int | $dom.t | $dom.c | $dom.c | $dom.c["$dom.n"] $cmp.c $big
total: add up the $dom.n of all $dom.t with a given $dom.p
 total_$dom.n sum_$dom.n ($dom.t:list[dict]; wanted:str) -> float | $dom.t | $dom.c | $dom.c["$dom.n"] | $dom.c["$dom.p"] == wanted
any: $chk a list of $dom.t contains one with a given $dom.p
 has_$dom.c has_$dom.p ($dom.t:list[dict]; wanted:str) -> bool | $dom.t | $dom.c | $dom.c | $dom.c["$dom.p"] == wanted
all: $chk all $dom.t have a $dom.n $cmp.t $big
 all_$dom.t_$cmp.n check_$dom.t ($dom.t:list[dict]) -> bool | $dom.t | $dom.c | $dom.c | $dom.c["$dom.n"] $cmp.c $big
first: find a $dom.c by its name
 find_$dom.c get_$dom.c lookup_$dom.c ($dom.t:list[dict]; name:str) -> dict | $dom.t | $dom.c | $dom.c | $dom.c["name"] == name
best: $ret the $dom.c with the $sup.t $dom.n
 $sup.t_$dom.n $dom.c_with_$sup.t_$dom.n ($dom.t:list[dict]) -> dict | $dom.t | $dom.c | $dom.c["$dom.n"]
sort: sort a list of $dom.t by $dom.n $dir.t
 sort_$dom.t order_by_$dom.n sort_by_$dom.n ($dom.t:list[dict]) -> list[dict] | $dom.t | $dom.c | $dom.c["$dom.n"]
group: group a list of $dom.t by $dom.p
 group_$dom.t group_by_$dom.p $dom.t_by_$dom.p ($dom.t:list[dict]) -> dict | $dom.t | $dom.c | $dom.c["$dom.p"]
tally: count the $dom.t of each $dom.p
 count_by_$dom.p $dom.t_per_$dom.p ($dom.t:list[dict]) -> dict | $dom.t | $dom.c | $dom.c["$dom.p"]
index: map the name of each $dom.c to its $dom.n
 $dom.n_by_name map_$dom.n index_$dom.t ($dom.t:list[dict]) -> dict | $dom.t | $dom.c | $dom.c["name"] | $dom.c["$dom.n"]
show: $prt the name and $dom.n of all $dom.t with a $dom.n $cmp.t $big
 $show_$dom.t report_$dom.t ($dom.t:list[dict]) -> None | $dom.t | $dom.c | f"{$dom.c['name']}: {$dom.c['$dom.n']}" | $dom.c["$dom.n"] $cmp.c $big
yield: yield the name of each $dom.c with a given $dom.p
 each_$dom.c names_by_$dom.p iter_$dom.t ($dom.t:list[dict]; wanted:str) | $dom.t | $dom.c | $dom.c["name"] | $dom.c["$dom.p"] == wanted
pick: $ret the keys of a dictionary whose value is $cmp.t $big
 keys_$cmp.n $get_keys ($d:dict) -> list | $d.items() | $key, $val | $key | $val $cmp.c $big
total: add up the values of a dictionary that are $cmp.t $big
 sum_values total_$cmp.n ($d:dict) -> float | $d.items() | $key, $val | $val | $val $cmp.c $big
index: swap the keys and values of a dictionary
 swap_dict invert_dict flip_keys ($d:dict) -> dict | $d.items() | $key, $val | $val | $key
formula: $comp the $shape.t
 $calc_$shape.n $shape.n ($shape.p) -> float | - | - | $shape.c
formula: convert $unit.t
 $unit.n convert_$unit.n ($unit.p:float) -> float | - | - | $unit.c
warn: {{print a message|print a warning|warn|show a message}} when $low.t
 warn check_level show_warning report_problem ($low.n) -> None | - | - | f"$low.p" | $low.c
"""

# task (without its verb), then: function names (parameters) | f-string; each is both printed and returned
MESSAGES = r"""
a description of a $who with a name and an age
 describe describe_$who $who_info ($pname:str; age:int) | f"{$pname} is {age} years old"
a line about a $who and the $city where they live
 describe_home home_line $who_home ($pname:str; $city:str) | f"{$pname} lives in {$city}"
a line about the job of a $who
 describe_job job_line $who_job ($pname:str; job:str="cook") | f"{$pname} {{works as|is}} a {job}"
a label for a $thing with its price
 label_$thing price_label $thing_label (name:str; price:float) | f"{name}: {price:.2f} {{euros|dollars}}"
a label for a box of {{pens|toys|apples|tools|shirts}}
 box_label label_box (count:int; color:str) | f"{count} {color} {{pieces|items|units}}"
a short description of a $thing
 describe_$thing $thing_text (color:str; size:str="small") | f"{{A|This is a|One}} {size} {color} $thing"
an announcement of the winner of a {{game|race|contest}}
 announce_winner announce winner_text (name:str; points:int) | f"{{The winner is|First place goes to}} {name} with {points} points"
an announcement of a train
 announce_train train_text (city:str; track:int; time:str="noon") | f"The train to {city} leaves from track {track} at {time}"
a closing line for a letter
 sign_off close_letter end_letter ($pname:str; title:str="Editor") | f"$end, {$pname}, {title}"
a goodbye to a $who
 say_goodbye part_from goodbye ($pname:str) | f"{{Goodbye|See you soon|Take care|Until next time}}, {$pname}!"
the full name of a $who
 full_name join_names $who_name (first:str; last:str) | f"{{{first} {last}|{last}, {first}}}"
the initials of a $who
 initials get_initials $who_initials (first:str; last:str) | f"{first[0]}.{last[0]}."
a name tag for a $who
 name_tag $make_tag ($pname:str; team:str="red") | f"[{team}] {$pname}"
an email address for a $who
 email_address $make_email ($pname:str; domain:str="example.com") | f"{$pname.lower()}@{domain}"
the favorite {{food|color|song|sport}} of a $who
 favorite favorite_line ($pname:str; favorite:str) | f"{$pname} {{likes|loves|prefers}} {favorite}"
the {{score|result}} of a {{game|match}} between two teams
 score_line match_result (home:str; away:str; goals:int; against:int) | f"{home} {goals} : {against} {away}"
a compliment for a $who
 praise compliment praise_$who ($pname:str; skill:str="cooking") | f"{{Well done|Great work|Bravo}}, {$pname}! Your {skill} is {{great|excellent}}."
an apology to a $who for a delay
 apologize say_sorry ($pname:str; minutes:int=10) | f"{{Sorry|We are sorry}}, {$pname}, we are {minutes} minutes late"
a reminder of an appointment for a $who
 remind remind_$who ($pname:str; day:str; hour:int=9) | f"{$pname}, {{please come|your appointment is}} on {day} at {hour}"
the name and sound of a $pet
 $pet_sound describe_sound (name:str; sound:str) | f"{name} the $pet says {sound}"
a line with the name and age of a $pet
 describe_$pet $pet_info (name:str; age:int) | f"{name} is a $pet of {age} years"
the weather in a $city
 weather_line describe_weather ($city:str; sky:str; degrees:int) | f"{{It is|Today it is}} {sky} in {$city} with {degrees} degrees"
the address of a $who on one line
 address_line format_address ($pname:str; street:str; city:str) | f"{$pname}, {street}, {city}"
a receipt line for a $thing
 receipt_line format_receipt (name:str; count:int; price:float) | f"{count} x {name} = {count * price:.2f}"
a {{title|heading}} underlined with a row of characters
 underline underline_title (title:str; mark:str="$mark") | f"{title}\n{mark * len(title)}"
a text with a border of characters
 add_border frame_text (text:str; mark:str="$mark") | f"{mark * 3} {text} {mark * 3}"
a text centered in a line of a given width
 center_text centered (text:str; width:int=40) | f"{text:^{width}}"
a number with thousands separators
 format_number with_commas (number:int) | f"{number:,}"
a share as a percentage
 format_percent as_percent (part:float; whole:float) | f"{part / whole:.1%}"
a date as day, month, year
 format_date date_line (day:int; month:int; year:int) | f"{day:02d}{{.|/|-}}{month:02d}{{.|/|-}}{year}"
a time as hours and minutes
 format_time clock_time (hours:int; minutes:int=0) | f"{hours:02d}:{minutes:02d}"
the role of a $who in a team
 describe_role role_line ($pname:str; role:str; team:str) | f"{$pname} is the {role} of the {team} team"
a progress line for a {{download|copy|task}}
 progress_line report_progress (done:int; total:int) | f"{done} of {total} {{done|finished}} ({100 * done // total}%)"
a book title with its author
 book_line cite_book (title:str; author:str; year:int=2000) | f"{title} by {author} ({year})"
the {{wish|order}} of a $who in a restaurant
 order_line take_order ($pname:str; dish:str; drink:str="water") | f"{$pname} {{orders|would like}} {dish} and {drink}"
an error text for a missing file
 missing_file file_error ($path:str) | f"{{Error|Warning}}: the file {$path} {{was not found|does not exist}}"
"""

# task, then: function names (parameters) -> type, then one or more bodies
BLOCKS = r"""
$chk a {{string|word|text}} is a palindrome
 is_palindrome check_palindrome palindrome ($s:str) -> bool
| return $s == $s[::-1]
| left, right = 0, len($s) - 1
  while left < right:
      if $s[left] != $s[right]:
          return False
      left += 1
      right -= 1
  return True
| cleaned = $s.lower().replace(" ", "")
  return cleaned == "".join(reversed(cleaned))
$chk a number is prime
 is_prime check_prime prime (n:int) -> bool
| if n < 2:
      return False
  for $i in range(2, int(n ** 0.5) + 1):
      if n % $i == 0:
          return False
  return True
| return n > 1 and all(n % $i for $i in range(2, n))
$chk a number is {{divisible by|a multiple of}} $k
 is_multiple divides is_divisible (number:int; divisor:int=$k) -> bool
| return number % divisor == 0
| if divisor == 0:
      return False
  return number % divisor == 0
merge two dictionaries{{| into a new one}}
 merge_dicts merge combine (first:dict; second:dict) -> dict
| return {**first, **second}
| merged = first.copy()
  merged.update(second)
  return merged
| merged = dict(first)
  for $key in second:
      merged[$key] = second[$key]
  return merged
merge two dictionaries and add the values of common keys
 merge_counts add_dicts sum_dicts (first:dict; second:dict) -> dict
| merged = dict(first)
  for $key, $val in second.items():
      merged[$key] = merged.get($key, 0) + $val
  return merged
read a text file and return its lines without {{blank ones|the blank ones}}
 read_lines non_blank_lines load_lines ($path:str) -> list[str]
| with open($path) as $f:
      return [line.strip() for line in $f if line.strip()]
| kept = []
  with open($path) as $f:
      for line in $f:
          if line.strip():
              kept.append(line.rstrip())
  return kept
write a list of {{words|names|notes|strings}} to a text file
 write_items save_list save_items ($items:list[str]; $path:str) -> None
| with open($path, "w") as $f:
      for $item in $items:
          $f.write(f"{$item}\n")
| with open($path, "w") as $f:
      $f.write("\n".join($items))
append a {{note|message|line|record}} to a log file
 append_log add_note write_log (text:str; $path:str="log.txt") -> None
| with open($path, "a") as $f:
      $f.write(text + "\n")
| from datetime import datetime
  now = datetime.now().isoformat()
  with open($path, "a") as $f:
      $f.write(f"{now} {text}\n")
read a json file {{|and return an empty dictionary if it is missing}}
 load_json read_json load_settings ($path:str) -> dict
| import json
  try:
      with open($path) as $f:
          return json.load($f)
  except FileNotFoundError:
      return {}
save {{a dictionary|settings|a record}} to a json file
 save_json write_json store (data:dict; $path:str="data.json") -> None
| import json
  with open($path, "w") as $f:
      json.dump(data, $f, indent=$k)
| import json
  content = json.dumps(data)
  with open($path, "w") as $f:
      $f.write(content)
read {{one column|a column}} of a csv file
 read_column get_column load_column ($path:str; column:str="$dom.n") -> list[str]
| import csv
  with open($path) as $f:
      return [row[column] for row in csv.DictReader($f)]
| import csv
  column_values = []
  with open($path) as $f:
      for row in csv.DictReader($f):
          column_values.append(row[column])
  return column_values
write a list of $dom.t to a csv file
 write_$dom.t save_$dom.t export_$dom.t ($dom.t:list[dict]; $path:str) -> None
| import csv
  with open($path, "w", newline="") as $f:
      writer = csv.writer($f)
      writer.writerow(["name", "$dom.n"])
      for $dom.c in $dom.t:
          writer.writerow([$dom.c["name"], $dom.c["$dom.n"]])
ask for a number until it is valid
 ask_number read_number ask_until_valid (prompt:str="Number: ") -> int
| while True:
      try:
          return int(input(prompt))
      except ValueError:
          print("{{Please enter a number|That is not a number|Try again}}")
| answer = input(prompt)
  while not answer.isdigit():
      print("{{Please enter a number|Try again|Digits only}}")
      answer = input(prompt)
  return int(answer)
ask a {{yes or no|yes-no}} question
 ask_yes_no confirm ask (question:str) -> bool
| answer = input(f"{question} (y/n) ")
  return answer.lower().startswith("y")
| while True:
      answer = input(question + " ").strip().lower()
      if answer in ("yes", "no"):
          return answer == "yes"
      print("{{Please answer yes or no|Yes or no, please}}")
ask the user to choose from a list of {{options|dishes|colors|games}}
 choose ask_choice pick_option (options:list[str]) -> str
| for number, option in enumerate(options, 1):
      print(number, option)
  $i = int(input("Your choice: ")) - 1
  return options[$i]
convert a string to {{an integer|a number}} or return a default value
 to_int parse_int safe_int ($s:str; default:int=0) -> int
| try:
      return int($s)
  except ValueError:
      return default
divide two numbers and handle a division by zero
 safe_divide divide (a:float; b:float) -> float
| try:
      return a / b
  except ZeroDivisionError:
      return {{None|0}}
| if b == 0:
      print("{{Cannot divide by zero|Division by zero}}")
      return None
  return a / b
raise a number to a power with recursion
 power recursive_power raise_to (base:int; exponent:int) -> int
| if exponent == 0:
      return 1
  return base * power(base, exponent - 1)
| if exponent == 0:
      return 1
  half = power(base, exponent // 2)
  return half * half if exponent % 2 == 0 else base * half * half
$comp the sum of the digits of a number
 digit_sum sum_digits add_digits (number:int) -> int
| return sum(int($ch) for $ch in str(number))
| total = 0
  while number > 0:
      total += number % 10
      number //= 10
  return total
sum a nested list with recursion
 nested_sum sum_nested deep_sum ($items:list) -> int
| total = 0
  for $item in $items:
      if isinstance($item, list):
          total += nested_sum($item)
      else:
          total += $item
  return total
flatten a {{nested list|list of lists}}
 flatten flatten_list unpack_lists (rows:list[list]) -> list
| return [$item for row in rows for $item in row]
| flat = []
  for row in rows:
      for $item in row:
          flat.append($item)
  return flat
| flat = []
  for row in rows:
      flat.extend(row)
  return flat
count down from {{n|a number}} to zero
 count_down countdown (n:int=$k) -> None
| while n > 0:
      print(n)
      n -= 1
  print("{{Go|Done|Zero|Lift off}}!")
| for number in range(n, 0, -1):
      print(number)
  print("{{Go|Done|Zero|Lift off}}!")
| if n == 0:
      print("{{Go|Done|Zero}}!")
  else:
      print(n)
      count_down(n - 1)
$comp the greatest common divisor of two numbers
 gcd greatest_common_divisor (a:int; b:int) -> int
| while b:
      a, b = b, a % b
  return a
| if b == 0:
      return a
  return gcd(b, a % b)
| for divisor in range(min(a, b), 0, -1):
      if a % divisor == 0 and b % divisor == 0:
          return divisor
list the divisors of a number
 divisors get_divisors list_divisors (number:int) -> list[int]
| return [$i for $i in range(1, number + 1) if number % $i == 0]
| found = []
  for $i in range(1, number + 1):
      if number % $i == 0:
          found.append($i)
  return found
print a {{triangle|staircase|pyramid}} of characters
 print_triangle draw_triangle (height:int=$k; mark:str="$mark") -> None
| for row in range(1, height + 1):
      print(mark * row)
| for row in range(height):
      print(" " * (height - row) + mark * (2 * row + 1))
print a {{rectangle|grid|box}} of characters
 print_grid draw_box (width:int; height:int=$k; mark:str="$mark") -> None
| for _ in range(height):
      print(mark * width)
| for row in range(height):
      for column in range(width):
          print(mark, end="")
      print()
roll {{dice|a number of dice}} and return the total
 roll_dice roll throw_dice (count:int=2; sides:int=6) -> int
| import random
  return sum(random.randint(1, sides) for _ in range(count))
| import random
  total = 0
  for _ in range(count):
      total += random.randint(1, sides)
  return total
simulate {{coin tosses|tossing a coin}} and count the heads
 toss_coins count_heads flip_coins (tosses:int=$big) -> int
| import random
  heads = 0
  for _ in range(tosses):
      if random.random() < 0.5:
          heads += 1
  return heads
pick a random $dom.c from a list
 random_$dom.c pick_$dom.c choose_$dom.c ($dom.t:list) -> str
| import random
  return random.choice($dom.t)
| import random
  if not $dom.t:
      return None
  $i = random.randrange(len($dom.t))
  return $dom.t[$i]
create a random password
 make_password random_password (length:int=$k) -> str
| import random
  letters = "abcdefghijklmnopqrstuvwxyz0123456789"
  return "".join(random.choice(letters) for _ in range(length))
| import random
  import string
  password = ""
  while len(password) < length:
      password += random.choice(string.ascii_letters)
  return password
play a number guessing game
 guess_number guessing_game play (highest:int=$big) -> int
| import random
  secret = random.randint(1, highest)
  tries = 1
  while int(input("Your guess: ")) != secret:
      tries += 1
  print(f"Correct after {tries} tries")
  return tries
simulate a random walk
 random_walk walk (steps:int=$big) -> int
| import random
  position = 0
  for _ in range(steps):
      position += random.choice([-1, 1])
  return position
$comp how long savings take to reach a goal
 years_to_goal save_up (balance:float; goal:float; rate:float=0.0$dig) -> int
| years = 0
  while balance < goal:
      balance *= 1 + rate
      years += 1
  return years
simulate the growth of a population of {{rabbits|fish|bacteria|birds}}
 grow simulate_growth population_after (population:float; years:int=$k; rate:float=0.1) -> float
| for year in range(years):
      population += population * rate
      print(year + 1, round(population))
  return population
| for _ in range(years):
      population *= 1 + rate
  return population
$comp the distance between two points
 distance point_distance (x1:float; y1:float; x2:float; y2:float) -> float
| import math
  return math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
| import math
  return math.hypot(x2 - x1, y2 - y1)
| dx = x2 - x1
  dy = y2 - y1
  return (dx * dx + dy * dy) ** 0.5
$comp the hypotenuse of a right triangle
 hypotenuse longest_side (a:float; b:float) -> float
| return (a ** 2 + b ** 2) ** 0.5
| import math
  return math.sqrt(a * a + b * b)
solve a quadratic equation
 solve_quadratic roots (a:float; b:float; c:float) -> tuple
| disc = b ** 2 - 4 * a * c
  if disc < 0:
      return None
  root = disc ** 0.5
  return (-b - root) / (2 * a), (-b + root) / (2 * a)
count the days {{until|up to}} a date
 days_until days_left (year:int; month:int; day:int) -> int
| from datetime import date
  return (date(year, month, day) - date.today()).days
| import datetime
  target = datetime.date(year, month, day)
  today = datetime.date.today()
  return (target - today).days
return the weekday of a date
 weekday weekday_name day_of_week (year:int; month:int; day:int) -> str
| from datetime import date
  return date(year, month, day).strftime("%A")
| import datetime
  names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
  return names[datetime.date(year, month, day).weekday()]
$comp the age of a $who from the year of birth
 age compute_age $who_age (born:int) -> int
| from datetime import date
  return date.today().year - born
split a number of seconds into hours, minutes and seconds
 split_seconds to_hms (seconds:int) -> tuple
| hours = seconds // 3600
  minutes = seconds % 3600 // 60
  return hours, minutes, seconds % 60
| minutes, seconds = divmod(seconds, 60)
  hours, minutes = divmod(minutes, 60)
  return hours, minutes, seconds
$ret all {{numbers|integers}} that occur in a text
 extract_numbers find_numbers ($text:str) -> list[int]
| import re
  return [int(match) for match in re.findall(r"\d+", $text)]
$chk a string {{looks like|is}} an email address
 is_email valid_email check_email (address:str) -> bool
| import re
  return re.fullmatch(r"[\w.]+@\w+\.\w+", address) is not None
| if address.count("@") != 1:
      return False
  user, domain = address.split("@")
  return bool(user) and "." in domain
replace {{every digit|all digits}} in a text with a character
 mask_digits hide_digits ($text:str; mark:str="$mark") -> str
| import re
  return re.sub(r"\d", mark, $text)
| return "".join(mark if $ch.isdigit() else $ch for $ch in $text)
hide all but the last {{four|4}} characters of a {{card number|code|phone number}}
 mask hide_number mask_code (code:str; mark:str="$mark") -> str
| return mark * (len(code) - 4) + code[-4:]
| hidden = mark * (len(code) - 4)
  return hidden + code[-4:]
turn a title into a slug
 slugify make_slug (title:str; separator:str="-") -> str
| return separator.join(title.lower().split())
| slug = ""
  for $ch in title.lower():
      slug += $ch if $ch.isalnum() else separator
  return slug
shorten a text to {{a given length|at most n characters}}
 shorten truncate cut_text ($text:str; length:int=$big) -> str
| if len($text) <= length:
      return $text
  return $text[:length] + "..."
| return $text if len($text) <= length else $text[:length] + "..."
encode a text with a caesar cipher
 caesar encode shift_letters ($text:str; shift:int=$k) -> str
| result = ""
  for $ch in $text.lower():
      if $ch.isalpha():
          result += chr((ord($ch) - 97 + shift) % 26 + 97)
      else:
          result += $ch
  return result
compress a string by counting repeated characters
 compress run_lengths ($s:str) -> str
| from itertools import groupby
  return "".join(f"{$ch}{len(list(run))}" for $ch, run in groupby($s))
$ret the {{most common|most frequent}} {{item|element}} of a list
 most_common most_frequent ($items:list) -> str
| from collections import Counter
  return Counter($items).most_common(1)[0][0]
| return max($items, key=$items.count)
| counts = {}
  for $item in $items:
      counts[$item] = counts.get($item, 0) + 1
  return max(counts, key=counts.get)
$ret the {{common items|items in common}} of two lists
 common_items shared in_both (first:list; second:list) -> list
| return [$item for $item in first if $item in second]
| shared_items = []
  for $item in first:
      if $item in second:
          shared_items.append($item)
  return shared_items
$ret the items of one list that are missing in another
 missing_items difference (first:list; second:list) -> list
| return [$item for $item in first if $item not in second]
| known = set(second)
  missing = []
  for $item in first:
      if $item not in known:
          missing.append($item)
  return missing
split a list into {{chunks|pieces}} of {{equal size|a given size}}
 chunks split_list in_chunks ($items:list; size:int=$k) -> list[list]
| return [$items[$i:$i + size] for $i in range(0, len($items), size)]
| pieces = []
  for start in range(0, len($items), size):
      pieces.append($items[start:start + size])
  return pieces
| for start in range(0, len($items), size):
      yield $items[start:start + size]
rotate a list by {{n|a number of}} places
 rotate rotate_list shift_list ($items:list; places:int=1) -> list
| places %= len($items)
  return $items[places:] + $items[:places]
| rotated = list($items)
  for _ in range(places):
      rotated.append(rotated.pop(0))
  return rotated
$comp the running totals of a list
 running_totals cumulative_sums ($xs:list[int]) -> list[int]
| totals = []
  total = 0
  for $x in $xs:
      total += $x
      totals.append(total)
  return totals
| total = 0
  for $x in $xs:
      total += $x
      yield total
| from itertools import accumulate
  return list(accumulate($xs))
$ret the differences between neighbors in a list
 differences gaps steps ($xs:list[int]) -> list[int]
| return [b - a for a, b in zip($xs, $xs[1:])]
| gap_list = []
  for $i in range(1, len($xs)):
      gap_list.append($xs[$i] - $xs[$i - 1])
  return gap_list
$ret the median of a list
 median middle_value ($xs:list[float]) -> float
| ordered = sorted($xs)
  middle = len(ordered) // 2
  if len(ordered) % 2:
      return ordered[middle]
  return (ordered[middle - 1] + ordered[middle]) / 2
$ret the range between the {{smallest and largest|lowest and highest}} value of a list
 value_range spread ($xs:list[float]) -> float
| return max($xs) - min($xs)
| low = high = $xs[0]
  for $x in $xs:
      low = min(low, $x)
      high = max(high, $x)
  return high - low
scale the numbers in a list to the range from 0 to {{1|$big}}
 scale normalize rescale ($xs:list[float]; top:float=1) -> list[float]
| low, high = min($xs), max($xs)
  return [top * ($x - low) / (high - low) for $x in $xs]
$chk a list is sorted
 is_sorted check_order ($xs:list) -> bool
| return $xs == sorted($xs)
| for $i in range(len($xs) - 1):
      if $xs[$i] > $xs[$i + 1]:
          return False
  return True
sort a list with {{bubble sort|the bubble sort algorithm}}
 bubble_sort sort_list ($xs:list) -> list
| for end in range(len($xs) - 1, 0, -1):
      for $i in range(end):
          if $xs[$i] > $xs[$i + 1]:
              $xs[$i], $xs[$i + 1] = $xs[$i + 1], $xs[$i]
  return $xs
search a sorted list with binary search
 binary_search search_sorted ($xs:list; target:int) -> int
| low, high = 0, len($xs) - 1
  while low <= high:
      middle = (low + high) // 2
      if $xs[middle] == target:
          return middle
      if $xs[middle] < target:
          low = middle + 1
      else:
          high = middle - 1
  return -1
transpose a matrix
 transpose flip_matrix (matrix:list[list]) -> list[list]
| return [list(row) for row in zip(*matrix)]
| columns = len(matrix[0])
  return [[row[$i] for row in matrix] for $i in range(columns)]
add two {{vectors|lists element by element}}
 add_vectors add_lists (first:list; second:list) -> list
| return [a + b for a, b in zip(first, second)]
| summed = []
  for a, b in zip(first, second):
      summed.append(a + b)
  return summed
join a list of {{words|names}} with commas and a final and
 join_words list_words ($words:list[str]) -> str
| if len($words) < 2:
      return "".join($words)
  return ", ".join($words[:-1]) + " and " + $words[-1]
print a numbered list of {{items|tasks|chapters|steps}}
 print_numbered show_list number_items ($items:list[str]; start:int=1) -> None
| for number, $item in enumerate($items, start):
      print(f"{number}. {$item}")
| number = start
  for $item in $items:
      print(number, $item)
      number += 1
print a dictionary as a table
 print_table show_table ($d:dict; width:int=$big) -> None
| for $key, $val in $d.items():
      print(f"{$key:<{width}} {$val}")
| for $key in sorted($d):
      print($key.ljust(width), $d[$key])
draw a bar chart of a dictionary with characters
 bar_chart draw_bars ($d:dict; mark:str="$mark") -> None
| for $key, $val in $d.items():
      print(f"{$key} {mark * $val}")
add a $thing to {{a shopping cart|an inventory}}
 add_$thing add_to_cart (cart:dict; $thing:str; count:int=1) -> dict
| cart[$thing] = cart.get($thing, 0) + count
  return cart
| if $thing in cart:
      cart[$thing] += count
  else:
      cart[$thing] = count
  return cart
remove a $thing from an inventory
 remove_$thing take_out (inventory:dict; $thing:str) -> bool
| if inventory.get($thing, 0) == 0:
      print(f"{{No $thing left|Out of stock}}: {$thing}")
      return False
  inventory[$thing] -= 1
  return True
$comp the total price of a shopping cart
 cart_total total_price (cart:dict; prices:dict) -> float
| return sum(prices[$item] * count for $item, count in cart.items())
| total = 0
  for $item, count in cart.items():
      total += prices[$item] * count
  return round(total, 2)
withdraw money from an account
 withdraw take_money (account:dict; amount:float) -> float
| if amount > account["balance"]:
      raise ValueError("{{not enough money|balance too low}}")
  account["balance"] -= amount
  return account["balance"]
transfer money between two accounts
 transfer move_money (accounts:dict; source:str; target:str; amount:float) -> dict
| if accounts[source] < amount:
      print("{{Not enough money|The balance is too low}}")
      return accounts
  accounts[source] -= amount
  accounts[target] += amount
  return accounts
update the {{$dom.n|$dom.p}} of a $dom.c
 update_$dom.c change_$dom.c edit_$dom.c ($dom.c:dict; field:str; value:str) -> dict
| $dom.c[field] = value
  return $dom.c
| if field not in $dom.c:
      raise KeyError(field)
  $dom.c[field] = value
  return $dom.c
create a record for a $dom.c with a name and a $dom.n
 make_$dom.c new_$dom.c create_$dom.c (name:str; $dom.n:int=0) -> dict
| return {"name": name, "$dom.n": $dom.n}
| record = {}
  record["name"] = name
  record["$dom.n"] = $dom.n
  return record
| return dict(name=name, $dom.n=$dom.n)
describe a $dom.c with its name and $dom.n
 describe_$dom.c $dom.c_text summarize_$dom.c ($dom.c:dict) -> str
| return f"{$dom.c['name']} ($dom.n: {$dom.c['$dom.n']})"
| name = $dom.c["name"]
  $dom.n = $dom.c["$dom.n"]
  return f"{name} {{has|with}} $dom.n {$dom.n}"
rate the {{score|result}} of a $who in words
 rate_score describe_score grade_$who (name:str; score:int) -> str
| if score >= $big:
      return f"{name}: {{excellent|great|very good}}"
  return f"{name}: {{try again|could be better|keep going}}"
| rating = "{{good|great|fine}}" if score > $big else "{{poor|weak|low}}"
  return f"{name} has a {rating} score"
tell a $who whether they are old enough for {{a film|a ride|a game|a club}}
 check_age old_enough tell_age (name:str; age:int; minimum:int=18) -> str
| if age >= minimum:
      return f"{name}, {{you may enter|you are old enough|come in}}"
  return f"{name}, you must be {minimum}"
describe a temperature in words
 describe_temperature feels_like (degrees:float) -> str
| if degrees < $k:
      return "{{cold|freezing|chilly}}"
  if degrees < 2$dig:
      return "{{mild|pleasant|fine}}"
  return "{{hot|warm}}"
call a function several times until it works
 retry try_again (function; attempts:int=$k) -> None
| for attempt in range(attempts):
      try:
          return function()
      except Exception as error:
          print(f"Attempt {attempt + 1} failed: {error}")
  return None
measure how long a function takes
 measure time_call (function; *args) -> float
| import time
  start = time.perf_counter()
  function(*args)
  return time.perf_counter() - start
list the files in a folder with a given ending
 list_files find_files (folder:str; ending:str=".txt") -> list[str]
| import os
  return [name for name in os.listdir(folder) if name.endswith(ending)]
| from pathlib import Path
  return sorted(path.name for path in Path(folder).glob("*" + ending))
generate the terms of the collatz sequence
 collatz collatz_sequence (n:int)
| while n != 1:
      yield n
      n = n // 2 if n % 2 == 0 else 3 * n + 1
  yield 1
play fizz buzz up to {{n|a limit}}
 fizz_buzz play_fizz_buzz (n:int=$big) -> None
| for number in range(1, n + 1):
      if number % 15 == 0:
          print("FizzBuzz")
      elif number % 5 == 0:
          print("Buzz")
      else:
          print("Fizz" if number % 3 == 0 else number)
convert a number to {{binary|its binary form}}
 to_binary binary (number:int) -> str
| bits = ""
  while number > 0:
      bits = str(number % 2) + bits
      number //= 2
  return bits or "0"
| return format(number, "b")
| return f"{number:b}"
limit a number to a range
 clamp limit_value (value:float; low:float=0; high:float=$big) -> float
| return max(low, min(value, high))
| if value < low:
      return low
  if value > high:
      return high
  return value
"""

_SLOT = re.compile(r"\$([a-z]+\d?)(?:\.([tcnp])(?![a-z]))?")
_CHOICE = re.compile(r"\{\{((?:[^{}]|\{[^{}]*\})*\|(?:[^{}]|\{[^{}]*\})*)\}\}")
_FSTRING = re.compile(r'\bf"([^"{}]*(?:\{\w+(?::[^{}]*)?\}[^"{}]*)+)"')
_FIELD = re.compile(r"\{(\w+)(:[^{}]*)?\}")
_HEADER = re.compile(r" (.+?) \((.*?)\)(?: -> ([^|]+?))?(?: \|(.*))?$")


def _bodies(lines):
    """Split lines into bodies, each started by a bar."""
    bodies = []
    for line in lines:
        if line.startswith("|"):
            bodies.append([])
        bodies[-1].append(line[2:])
    return bodies


def _sections(table):
    """Yield the title and the further lines of each section of a table."""
    title, lines = None, []
    for line in table.strip("\n").split("\n"):
        if line[0] in " |":
            lines.append(line)
        else:
            if title:
                yield title, lines
            title, lines = line, []
    yield title, lines


def _template(task, header, bodies):
    """Build a template from a task, the header line of its section and its bodies."""
    names, params, returns, fields = _HEADER.match(header).groups()
    values = [field.strip() for field in (fields or "").split(" | ")]
    fields = dict(zip(("src", "it", "out", "when"), values))
    return Template(task, tuple(names.split()), params, returns, bodies, fields)


def _load():
    """Read all tables into a tuple of templates."""
    idioms = {title: _bodies(lines) for title, lines in _sections(IDIOMS)}
    templates = [_template(t, lines[0], _bodies(lines[1:])) for t, lines in _sections(BLOCKS)]
    for title, (header,) in _sections(ROWS):
        kind, task = title.split(": ", 1)
        templates += [_template(task, header, idioms[kind])] * 2
    for task, (header,) in _sections(MESSAGES):
        header, text = header.split(" | ")
        for verb, kind, returns in (("$prt", "say", "None"), ("$mk", "message", "str")):
            row = f"{header} -> {returns} | - | - | {text}"
            templates.append(_template(f"{verb} {task}", row, idioms[kind]))
    return tuple(templates)


def _slot_value(key, rng, chosen):
    """Return the value of a slot, drawing it on first use."""
    if key not in chosen:
        chosen[key] = rng.choice(SLOTS[key.rstrip("0123456789")])
    return chosen[key]


def _expand(text, rng, chosen):
    """Replace all slots and wording choices in a text."""

    def slot(match):
        value = _slot_value(match[1], rng, chosen)
        return value if match[2] is None else value["tcnp".index(match[2])]

    while "$" in text:
        text = _SLOT.sub(slot, text)
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)


def _signature(params, hints, defaults):
    """Write the parameters of a function with or without hints and defaults."""
    written = []
    for param in params.split("; "):
        name, _, rest = param.partition(":")
        hint, _, default = rest.partition("=")
        text = f"{name}: {hint}" if hints and hint else name
        if defaults and default:
            text += f" = {default}" if hints else f"={default}"
        written.append(text)
    return ", ".join(written)


def _format_call(match):
    """Rewrite an f-string of plain fields as a call of str.format."""
    names = ", ".join(name for name, _ in _FIELD.findall(match[1]))
    text = _FIELD.sub(lambda field: "{" + (field[2] or "") + "}", match[1])
    return f'"{text}".format({names})'


def _vary(lines, rng):
    """Apply random changes of style to the lines of a body."""
    if rng.random() < 0.2:
        lines = [_FSTRING.sub(_format_call, line) for line in lines]
    last = lines[-1]
    if last.startswith("return ") and "(" in last and "yield" not in last and rng.random() < 0.15:
        name = rng.choice(("answer", "outcome", "final"))
        lines = lines[:-1] + [f"{name} = {last[7:]}", f"return {name}"]
    return lines


def _draw_body(template, params, rng):
    """Draw a body whose guard, if any, suits the first parameter."""
    # Zero hours or degrees below zero are valid, unlike an empty name or a negative length.
    needs_text = "not $arg:" in str(template.bodies)
    unguarded = params.startswith("degrees") or needs_text and ":str" not in params.split("; ")[0]
    bodies = [body for body in template.bodies if not (unguarded and "$arg" in str(body))]
    # Longer bodies are drawn more often, so that few functions are one-liners.
    return "\n".join(rng.choices(bodies, [len(body) for body in bodies])[0])


def _write(template, rng):
    """Draw a task and its function from a template."""
    chosen = dict(template.fields)
    task = " ".join(_expand(template.task, rng, chosen).split())
    task = re.sub(r"\ba (?=[aei]|o(?!ne))", "an ", task)
    old_name = template.names[0]
    name = _expand(rng.choice(template.names), rng, chosen)
    params = _expand(template.params, rng, chosen)
    chosen["arg"] = re.match(r"\w*", params)[0]
    text = _expand(_draw_body(template, params, rng), rng, chosen)
    text = re.sub(r"not \((\w+\.\w+\([^()]*\))\)", r"not \1", text)
    # A recursive body calls the function by its first name.
    text = re.sub(rf"(?<![\w.]){re.escape(_expand(old_name, rng, chosen))}\(", f"{name}(", text)
    if "digits)" in text and "digits" not in params and "round(" in text:
        params += "; digits:int=2"
    hints, defaults = rng.random() < 1 / 6, rng.random() < 0.6
    arrow = f" -> {template.returns}" if hints and template.returns and "yield" not in text else ""
    lines = _vary(text.split("\n"), rng)
    if rng.random() < 1 / 3 and len(task) < 85:
        lines = [f'"""{task[0].upper()}{task[1:]}."""'] + lines
    code = "".join(f"    {line}\n" for line in lines)
    return task, f"def {name}({_signature(params, hints, defaults)}){arrow}:\n{code}"


def is_heldout(task):
    """Tell whether a task is a held-out one or has all the telling words of one."""
    words = set(re.findall(r"[a-z]+", task.lower()))
    return task in HELDOUT_TASKS or any(telling <= words for telling in HELDOUT_WORDS)


def function_pair(rng) -> tuple[str, str]:
    """Return a random task and the code of a function that does it."""
    while True:
        task, code = _write(rng.choice(TEMPLATES), rng)
        if not is_heldout(task):
            return task, code


TEMPLATES = _load()
