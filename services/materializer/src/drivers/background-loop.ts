/** Work that goes on beside everything else, from its start to its stop. */
export abstract class BackgroundLoop {
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  start(): void {
    this.#loop = this.run();
  }

  /** Finishes the step under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Aborted when it is to end. */
  protected get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Ends, without an error, soon after {@link stopping} is aborted. */
  protected abstract run(): Promise<void>;
}
