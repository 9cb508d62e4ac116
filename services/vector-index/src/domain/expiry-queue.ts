/** Rows by the time at which they expire: a binary heap. */
export class ExpiryQueue {
  readonly #heap: { row: number; at: number }[] = [];

  add(row: number, at: number): void {
    const heap = this.#heap;
    heap.push({ row, at });
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >>> 1;
      if (!this.#swap(i, parent)) break;
      i = parent;
    }
  }

  /** Takes out the rows whose time was before `now`. */
  due(now: number): number[] {
    const rows: number[] = [];
    for (let first = this.#heap[0]; first && first.at < now; first = this.#heap[0]) {
      rows.push(first.row);
      const last = this.#heap.pop();
      if (last === undefined || this.#heap.length === 0) continue;
      this.#heap[0] = last;
      this.#sink();
    }
    return rows;
  }

  #sink(): void {
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      const right = left + 1;
      let least = i;
      if ((this.#heap[left]?.at ?? Infinity) < (this.#heap[least]?.at ?? 0)) least = left;
      if ((this.#heap[right]?.at ?? Infinity) < (this.#heap[least]?.at ?? 0)) least = right;
      if (least === i) return;
      this.#swap(least, i);
      i = least;
    }
  }

  /** Exchanges the two where the first is due earlier. */
  #swap(child: number, parent: number): boolean {
    const a = this.#heap[child];
    const b = this.#heap[parent];
    if (!a || !b || a.at >= b.at) return false;
    this.#heap[child] = b;
    this.#heap[parent] = a;
    return true;
  }
}
