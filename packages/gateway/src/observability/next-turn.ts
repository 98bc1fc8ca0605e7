/** Work for the event loop's next turn: all that one turn leaves is done by one callback. */
export class NextTurn {
  #works: (() => void)[] = [];

  add(work: () => void): void {
    if (this.#works.push(work) === 1) setImmediate(() => this.#run());
  }

  #run(): void {
    const works = this.#works;
    this.#works = [];
    for (const work of works) work();
  }
}
