/**
 * Who is at the keyboard. A name is asked for once and remembered; with a remembered name the page joins by itself. One works from the
 * moment the server has certified this device's session, online or not; before that nobody could tell what one may do.
 */
import { anonymous } from '@weft-db/weft'
import { db } from './database.ts'
import { type Failure, failureOf } from './failure.ts'
import { recall, remember } from './preference.ts'

/** How long, in milliseconds, joining with a remembered name goes on before the page speaks of it. */
const patience = 1200

export class Identity {
  name = $state(recall('name') ?? '')
  /** While it is `opening` nothing is asked: the session may be on this device, or a remembered name joins in a moment. */
  stage = $state<'opening' | 'asking' | 'joining' | 'joined'>('opening')
  failure = $state<Failure>()
  #busy = false

  constructor() {
    db.onStatus(() => this.#look())
    this.#look()
  }

  async join(name: string): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    this.name = name
    remember('name', name)
    this.failure = undefined
    if (this.stage !== 'opening') this.stage = 'joining'
    const tell = setTimeout(() => {
      if (this.stage === 'opening') this.stage = 'joining'
    }, patience)
    try {
      await db.login(anonymous(name))
    } catch (problem) {
      this.failure = failureOf(problem)
      this.stage = 'asking'
    } finally {
      clearTimeout(tell)
      this.#busy = false
      this.#look()
    }
  }

  /** The next person is asked for a name again. */
  forget(): void {
    remember('name', '')
  }

  #look(): void {
    if (this.failure !== undefined) return
    if (db.person !== undefined) {
      this.name = db.person.name
      this.stage = 'joined'
    } else if (this.stage === 'opening' && db.status.storage !== 'opening') {
      if (this.name) void this.join(this.name)
      else this.stage = 'asking'
    }
  }
}
