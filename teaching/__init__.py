"""What a teacher needs: a check of the room, the slides of a talk, and a kit for a room without a network."""
