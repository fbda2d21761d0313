/* Players: the notebooks' live views from stored frames (see pages/players.py), without a kernel and without a server.
   The setting of a player stands in the address: page.html#player-2&alpha=0.30&prompt=beer opens on it. */
"use strict";

(() => {
  const WORDS = "\0words\0"; // in a picture's accessible name: the words below it

  /* An element with attributes and children; texts become text nodes, so nothing in them is read as markup. */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const escape = (text) =>
    text.replace(/[&<>"']/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" })[c]);

  /* The frame at a setting, and what each control offers there; picks[i] is the place of a label in options[i]. */
  const walk = (data, picks) => {
    let node = data.tree;
    const levels = picks.map((pick) => {
      const level = node;
      node = level.next[Math.min(pick, level.options.length - 1)];
      return level;
    });
    return { levels, frame: data.frames[node] };
  };

  /* Picks for labels; where a label is missing or unknown: what the notebook opens with, or else the first. */
  const find = (data, labels) => {
    const picks = [];
    let node = data.tree;
    for (const [i] of data.controls.entries()) {
      const at = [labels[i], node.start, data.opening[i]].map((label) => node.options.indexOf(label));
      picks.push(at.find((place) => place >= 0) ?? 0);
      node = node.next[picks[i]];
    }
    return picks;
  };

  /* A wide picture cut where it says that its panels meet, so that they can stand below each other on a narrow screen. */
  const panels = (svg) => {
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const at = svg.dataset.panels?.split(" ").map(Number) ?? [0, width];
    return at.slice(1).map((right, i) => {
      const [left, panel] = [at[i], i ? svg.cloneNode(true) : svg];
      panel.setAttribute("viewBox", `${left} 0 ${right - left} ${height}`);
      panel.setAttribute("width", right - left);
      panel.setAttribute("height", height);
      const share = right - left > 240 ? "100%" : "50%"; // two small ones fit beside each other on any screen
      panel.style.flex = `${right - left} 1 0`; // rather a tenth smaller than below each other
      panel.style.minWidth = `min(${0.9 * (right - left)}px, ${share})`;
      panel.style.maxWidth = `min(${right - left}px, ${share})`;
      panel.style.width = "";
      panel.removeAttribute("role");
      panel.removeAttribute("aria-label");
      panel.setAttribute("aria-hidden", "true");
      return panel;
    });
  };

  /* The picture's panels in a frame that has its name. */
  const framed = (svg) => {
    const name = svg.getAttribute("aria-label");
    return make("div", { class: "player-picture", role: "img", "aria-label": name }, ...panels(svg));
  };

  /* Make an old element equal to a fresh one by changing what differs: the rest is not laid out or painted again. */
  const update = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName !== fresh.nodeName || old.nodeType !== Node.ELEMENT_NODE) {
      old.replaceWith(fresh);
      return;
    }
    for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    if (before.length === after.length) after.forEach((child, i) => update(before[i], child));
    else old.replaceChildren(...after);
  };

  /* A control of a kind: an element to show, and ways to set and to read its place among the options. */
  const kinds = {
    range: (name, changed) => {
      const input = make("input", { type: "range", min: 0, step: 1 });
      const [title, value] = [make("span"), make("output")];
      input.addEventListener("input", () => changed(Number(input.value)));
      return {
        element: make("label", { class: "player-range" }, title, input, value),
        show: (label, options, pick, locked) => {
          input.max = options.length - 1;
          input.value = pick;
          input.disabled = locked;
          input.setAttribute("aria-valuetext", options[pick]);
          title.textContent = label;
          value.textContent = options[pick];
        },
      };
    },
    choice: (name, changed) => {
      const [title, select] = [make("span"), make("select")];
      select.addEventListener("change", () => changed(select.selectedIndex));
      return {
        element: make("label", { class: "player-choice" }, title, select),
        show: (label, options, pick) => {
          title.textContent = label;
          if (options.join("\n") !== [...select.options].map((option) => option.text).join("\n"))
            select.replaceChildren(...options.map((option) => make("option", {}, option)));
          select.selectedIndex = pick;
        },
      };
    },
    button: (name, changed) => {
      const button = make("button", { type: "button" });
      button.addEventListener("click", () => changed(button.dataset.pick === "1" ? 0 : 1));
      return {
        element: button,
        show: (label, options, pick) => {
          button.dataset.pick = pick;
          button.textContent = pick ? "Guess again" : label;
        },
      };
    },
  };

  /* A text that can be any of several: all of them lie invisibly on one another, so its height never changes. */
  const stack = (tag, attributes, texts) => {
    const shown = make(tag, attributes);
    const ghosts = texts.map((text) => make(tag, { class: "player-ghost", "aria-hidden": "true" }, text));
    return [make("div", { class: "player-stack" }, ...ghosts, shown), shown];
  };

  const longest = (texts) => [...texts].sort((a, b) => b.length - a.length).slice(0, 12);

  let noted; // the timer after which the address tells the last setting

  const start = (box, number) => {
    const data = window.players?.[box.dataset.frames]?.[box.dataset.view];
    if (!data) return null;
    box.id = `player-${number}`;
    let picks;
    const picture = make("div");
    const [wordsPlace, words] = stack("p", { role: "status" }, longest(data.words));
    const [textPlace, text] = stack("pre", {}, data.texts.filter(Boolean));
    const controls = data.controls.map((control, i) => kinds[control.kind](control.name, (pick) => change(i, pick)));

    /* In place of one control and of the picture: the texts of all that it offers, beside each other. */
    const beside = data.controls.findIndex(({ name }) => name === box.dataset.beside);
    const columns = (beside < 0 ? [] : walk(data, find(data, [])).levels[beside].options).map((option) =>
      make("pre", { tabindex: 0, "aria-label": option }),
    );
    const write = (pre, [, , at, bold]) =>
      pre.replaceChildren(make("b", {}, data.texts[at].slice(0, bold)), data.texts[at].slice(bold));

    const draw = () => {
      const { levels, frame } = walk(data, picks);
      const [parts, wordsAt] = frame;
      const locked = data.controls.some(({ kind }, i) => kind === "button" && picks[i]);
      controls.forEach((control, i) => {
        const { options, label } = levels[i];
        control.show(label ?? data.controls[i].label, options, picks[i], locked);
      });
      columns.forEach((pre, j) => write(pre, walk(data, picks.map((pick, i) => (i === beside ? j : pick))).frame));
      if (columns.length) return;
      const holder = document.createElement("template");
      const source = parts.map((part) => data.parts[part]).join("");
      holder.innerHTML = source.replace(WORDS, () => escape(data.words[wordsAt]));
      const svg = holder.content.firstElementChild;
      update(picture, framed(svg));
      words.textContent = data.words[wordsAt];
      write(text, frame);
    };

    /* After a move, the controls behind it keep their label if it is still offered, or go to where they start. */
    const change = (i, pick) => {
      const before = walk(data, picks).levels;
      const labels = picks.map((at, k) => before[k].options[at]);
      labels[i] = before[i].options[pick];
      const starts = walk(data, find(data, labels)).levels.map(({ start }, k) => (k > i ? start : undefined));
      picks = find(data, labels.map((label, k) => starts[k] ?? label));
      draw();
      clearTimeout(noted); // browsers allow a page some hundred addresses a minute, and a held key asks for more
      noted = setTimeout(() => history.replaceState(null, "", `#${[box.id, ...setting()].join("&")}`), 200);
    };

    const setting = () =>
      walk(data, picks).levels.map(
        ({ options }, i) => `${data.controls[i].name}=${encodeURIComponent(options[picks[i]])}`,
      );

    /* Take the setting from the address, if it is about this player. */
    const read = () => {
      const [id, ...pairs] = location.hash.slice(1).split("&");
      const mine = id === box.id;
      const given = new URLSearchParams(mine ? pairs.join("&").replaceAll("+", "%2B") : "");
      if (mine || !picks) {
        picks = find(data, data.controls.map(({ name }) => given.get(name)));
        draw();
      }
      if (mine) box.scrollIntoView({ block: "start", behavior: "instant" });
    };

    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `Player ${number}`);
    const shown = controls.filter((_, i) => i !== beside);
    box.replaceChildren(
      make("div", { class: "player-controls" }, ...shown.map(({ element }) => element)),
      ...(columns.length ? [make("div", { class: "player-texts" }, ...columns)] : [picture, wordsPlace]),
      ...(data.texts.some(Boolean) && !columns.length ? [textPlace] : []),
    );
    read();
    return read;
  };

  /* What the theme leaves to do for the keyboard and for screen readers. */
  const mend = () => {
    for (const box of document.querySelectorAll("article pre, .picture, .table-wrapper, .formula"))
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.setAttribute("aria-level", 2);
  };

  document.addEventListener("DOMContentLoaded", () => {
    for (const svg of document.querySelectorAll(".picture > svg")) {
      const place = make("div");
      svg.replaceWith(place);
      place.replaceWith(framed(svg));
    }
    const boxes = [...document.querySelectorAll(".player[data-frames]")];
    const readers = boxes.map((box, i) => start(box, i + 1)).filter(Boolean);
    mend();
    window.addEventListener("hashchange", () => readers.forEach((read) => read()));
  });
})();
