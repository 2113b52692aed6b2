/** An object that lives in the worker, and how to make it again in the next worker. */
import type { CallOptions, Connection, Send } from "./connection";
import { MkaError } from "./error";

/** What the worker answers when it made something. */
export interface Made {
  handle: number;
}

/** Makes the object in the current worker. */
export type Make<T extends Made> = (send: Send, options: CallOptions) => Promise<T>;

export class WorkerProxy<T extends Made> {
  #handle = 0;
  #epoch = 0;
  #closed = false;

  constructor(
    readonly connection: Connection,
    /** Its name in the error after closing. */
    readonly noun: string,
    readonly make: Make<T>,
  ) {}

  /** Makes it for the first time. */
  create(options: CallOptions): Promise<T> {
    return this.connection.run(options.signal, (send) => this.#remake(send, options));
  }

  /**
   * Its handle in the current worker; made again there if the worker is a new one. Only inside
   * `Connection.run`.
   */
  async handle(send: Send, options: CallOptions): Promise<number> {
    if (this.#epoch !== this.connection.epoch) await this.#remake(send, options);
    return this.#handle;
  }

  /** One call on it, after the ones that are queued. */
  call(method: Parameters<Send>[0], args: unknown[], options: CallOptions = {}): Promise<unknown> {
    if (this.#closed) {
      return Promise.reject(new MkaError("bad-argument", `This ${this.noun} was closed.`, "Make a new one."));
    }
    return this.connection.run(options.signal, async (send) =>
      send(method, await this.handle(send, options), args, options),
    );
  }

  /** Frees it in the worker. What was made from it can still be made again. */
  close(): void {
    this.#closed = true;
    if (this.#epoch !== this.connection.epoch) return;
    // Queued: what still runs may be using it.
    const freed = this.connection.run(undefined, async (send) => {
      if (this.#epoch !== this.connection.epoch) return;
      this.#epoch = 0;
      await send("close", this.#handle, []);
    });
    freed.catch(() => {}); // a worker that has ended holds nothing any more
  }

  async #remake(send: Send, options: CallOptions): Promise<T> {
    const made = await this.make(send, options);
    this.#handle = made.handle;
    this.#epoch = this.connection.epoch;
    return made;
  }
}
