/** Wakes the one who waits for it. A ring that nobody waits for is kept until somebody does. */
export class Bell {
  #rung = false;
  #wake: () => void = () => {};

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Resolves once the bell has rung since the last time. */
  async rung(): Promise<void> {
    if (!this.#rung)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    this.#rung = false;
  }
}
