/** Whom a replica tells of what went wrong, and of what its person wrote that does not count. */
import { describeRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { Listeners } from './listeners.ts'
import type { Rejection } from './rejections.ts'
import type { Incident } from './status.ts'

export class Reports {
  /** Of a listener of incidents that throws nobody could be told. */
  readonly incidents = new Listeners<[Incident]>(() => undefined)
  readonly threw = (error: unknown): void => this.incident(refusal('ListenerThrew', String(error)))
  readonly rejections = new Listeners<[Rejection]>(this.threw)

  incident(why: Refusal, repository?: string): void {
    this.incidents.tell({ ...why, repository, message: describeRefusal(why) })
  }
}
