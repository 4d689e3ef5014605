/** What keeps a repository's log quick to open and no larger than it has to be: its snapshots, and the dropping of old history. */
import type { Counting } from './counting.ts'
import { Dropping } from './dropping.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import type { Files } from './ports.ts'
import type { Snapshot } from './snapshot.ts'
import { Snapshots } from './snapshots.ts'

export class Upkeep {
  readonly #snapshots: Snapshots
  readonly #dropping: Dropping

  constructor(host: Host, pipeline: Pipeline, counting: Counting) {
    this.#snapshots = new Snapshots(host, pipeline, counting)
    this.#dropping = new Dropping(host, pipeline, counting)
  }

  /** Where the log is. */
  in(files: Files, log: string): void {
    this.#snapshots.in(files, log)
  }

  load(): Promise<Snapshot | undefined> {
    return this.#snapshots.load()
  }

  used(snapshot: Pick<Snapshot, 'size'>): void {
    this.#snapshots.used(snapshot)
  }

  /** Something was stored, or opened. */
  stored(): void {
    this.#snapshots.stored()
    this.#dropping.stored()
  }

  /** See `Snapshots.discard`. */
  discard(): Promise<void> {
    return this.#snapshots.discard()
  }

  /** The log is about to be closed. */
  closing(): Promise<void> {
    return this.#dropping.close()
  }

  /** It is closed. `keeps`: whether what is stored stays. */
  close(keeps: boolean): Promise<void> {
    return this.#snapshots.close(keeps)
  }
}
