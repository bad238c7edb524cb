"""The staff's live board: what it counts, how it is painted, who may see it, and what needs a person."""
