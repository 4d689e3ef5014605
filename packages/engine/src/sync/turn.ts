import type { Refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import { inFrames } from './answer.ts'
import { salted } from './fingerprint.ts'
import type { Held } from './held.ts'
import { type Keys, keysOf } from './keyed.ts'
import type { Message } from './message.ts'
import { withRecent } from './recent.ts'
import type { Effect, Session } from './session.ts'

export interface Surroundings {
  /** Monotonic, ms. */
  readonly now: number
  readonly random: (length: number) => Uint8Array
  /** SHA-256. */
  readonly hash: Hash
}

/** A leader that hears nothing for so long begins another round, ms. */
export const patience = 60_000
/** Rounds a follower answers at once, and ms until it answers one more. */
export const mostCredit = 8
const creditEvery = 500

/** What every round begins from. */
export const noRound = {
  rung: 'none',
  sketched: 0,
  vector: undefined,
  unsent: undefined,
  filter: undefined,
  listed: [],
  complete: false,
  offered: [],
  answered: new Map(),
  asked: [],
  wanted: [],
  asks: 0,
  awaitsPush: false,
  awaitsWant: false,
} satisfies Partial<Session>

/** One step under way: a session that is replaced, never changed, and the effects so far. */
export class Turn {
  session: Session
  readonly effects: Effect[] = []
  readonly held: Held
  readonly around: Surroundings

  constructor(session: Session, held: Held, around: Surroundings) {
    this.session = session
    this.held = held
    this.around = around
  }

  set(changes: Partial<Session>): void {
    this.session = { ...this.session, ...changes }
  }

  send(message: Message): void {
    this.effects.push({ kind: 'send', message })
  }

  offence(refused: Refusal, evidence?: readonly Uint8Array[]): void {
    this.effects.push({ kind: 'offence', ...refused, ...(evidence && { evidence }) })
  }

  /** Of what is held now, as this conversation shows it. */
  fingerprint(): Uint8Array {
    return salted(this.session.salt, this.held.fingerprint(), this.around.hash)
  }

  keys(round: number): Keys {
    return keysOf(this.session.salt, round)
  }
}

/** In as many messages as it takes; with `last` at least in one. */
export const pushIds = (
  turn: Turn,
  round: number,
  ids: readonly string[],
  last: boolean,
  unknown: readonly number[] = [],
): void => {
  if (round > 0 && turn.session.fresh.length > 0) {
    const answered = new Set(ids)
    turn.set({ fresh: turn.session.fresh.filter((id) => !answered.has(id)) })
  }
  const runs = inFrames(ids, turn.held)
  if (runs.length === 0 && last) runs.push([])
  for (const [i, run] of runs.entries()) {
    const isLast = last && i === runs.length - 1
    turn.effects.push({ kind: 'push', round, ids: run, last: isLast, unknown: isLast ? unknown : [] })
  }
}

export const pushLive = (turn: Turn, ids: readonly string[]): void => {
  if (ids.length === 0) return
  pushIds(turn, 0, ids, false)
  exchanged(turn, ids)
}

export const exchanged = (turn: Turn, ids: readonly string[]): void => {
  turn.set({ exchanged: withRecent(turn.session.exchanged, ids) })
}

/** A round costs the follower a look at all its heads. */
export const mayBegin = (turn: Turn): boolean => {
  const { now } = turn.around
  const credit = Math.min(mostCredit, turn.session.credit + (now - turn.session.creditAt) / creditEvery)
  if (credit < 1) {
    turn.offence({ code: 'TooMany', about: 'rounds' })
    return false
  }
  turn.set({ credit: credit - 1, creditAt: now })
  return true
}
