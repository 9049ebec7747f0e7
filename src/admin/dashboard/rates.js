// How fast counts grow, over the last few pictures.

/** How many seconds a rate looks back. */
const SPAN = 4;

/** Counts by name, and how fast each grew of late. */
export class Rates {
  #looks = [];

  /** Takes the counts in as they were at a time, in seconds. A clock or a count that went back begins anew. */
  look(at, counts) {
    const last = this.#looks.at(-1);
    if (last !== undefined && at < last.at) this.#looks = [];
    this.#looks.push({ at, counts });
    while (this.#looks.length > 2 && at - this.#looks[1].at >= SPAN) this.#looks.shift();
  }

  /** How much a count grew a second; null where that is not known yet. */
  of(name) {
    const [first, last] = [this.#looks[0], this.#looks.at(-1)];
    const [then, now] = [first?.counts.get(name), last?.counts.get(name)];
    if (then === undefined || now === undefined || last.at <= first.at || now < then) return null;
    return (now - then) / (last.at - first.at);
  }
}
