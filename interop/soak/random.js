// Chance from a seed: each part of a soak has a stream of its own, so that what one draws does not change another's luck.

/** Gives the stream of a name. */
export function randomOf(seed, name) {
  let state = hash(`${seed}/${name}`);
  const float = () => {
    // mulberry32: 32 bits of state are plenty for a few thousand choices
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const random = {
    float,
    below: n => Math.floor(float() * n),
    between: (low, high) => low + float() * (high - low),
    chance: probability => float() < probability,
    pick: items => items[Math.floor(float() * items.length)],
    /** Another order of the same. */
    shuffled(items) {
      const left = [...items];
      for (let i = left.length - 1; i > 0; i--) {
        const j = Math.floor(float() * (i + 1));
        [left[i], left[j]] = [left[j], left[i]];
      }
      return left;
    },
    /** Takes from all in turn, in an order that changes each round: rare ones come too, even in a short run. */
    deal(items) {
      let hand = [];
      return () => {
        if (hand.length === 0) hand = random.shuffled(items);
        return hand.pop();
      };
    },
  };
  return random;
}

function hash(text) {
  let h = 0x811c9dc5; // FNV-1a
  for (const c of Buffer.from(text)) h = Math.imul(h ^ c, 0x01000193);
  return h | 0;
}
