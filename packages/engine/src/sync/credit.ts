import type { Held } from './held.ts'

/**
 * What one peer may cost on one channel, as a value: rounds, each of which is a look at all heads, and the bytes of commits.
 *
 * Bytes: nobody honest needs a commit twice but who could not keep it. So a peer is given what is held once, whatever it asks in, and
 * beyond that what a bucket holds: a few MiB at once, and so many a second. What is cut off is found by a later round.
 */
export interface Credit {
  /** Rounds, those gained until `roundsAt`, and ms until there is one more. */
  readonly rounds: number
  readonly roundsAt: number
  readonly roundEvery: number
  /** Bytes pushed; and of what is held, as it was admitted, the first commits, their number and bytes. */
  readonly given: number
  readonly counted: number
  readonly due: number
  /** Bytes beyond that, gained until `spareAt`, and no more than fit the bucket; less than none after a message that took more. */
  readonly spare: number
  readonly spareAt: number
}

/** Rounds at once; the hello counts as one. */
export const mostRounds = 9
/**
 * Ms until there is one more: so many a head, of which a round takes less than a twentieth, and at most about what the pauses of a
 * leader without progress come to by its ninth round: honest rounds wait for nothing.
 */
const roundEveryLeast = 500
const roundEveryHead = 0.1
const roundEveryMost = 15_000

/** What bytes are taken from. */
export interface Terms {
  readonly held: Pick<Held, 'count' | 'arrival' | 'size'>
  /** Monotonic, ms. */
  readonly now: number
  readonly spare: Spare
  /** Also where there is no credit. */
  readonly always: boolean
}

/** Bytes at once, and a second. */
export interface Spare {
  readonly most: number
  readonly perSecond: number
}

/** Of a side that is asked: no more than 64 MiB in ten minutes. */
export const spareOfFollower: Spare = { most: 4_194_304, perSecond: 102_400 }
/** Of the side that chooses when rounds are: an authority takes half a MiB a second, refuses what comes faster, and is to be offered it again. */
export const spareOfLeader: Spare = { most: 67_108_864, perSecond: 1_048_576 }

export const fullCredit: Credit = {
  rounds: mostRounds,
  roundsAt: 0,
  roundEvery: roundEveryLeast,
  given: 0,
  counted: 0,
  due: 0,
  spare: Number.POSITIVE_INFINITY,
  spareAt: 0,
}

/** The credit after a round that begins now; or the ms until one may. */
export const takeRound = (credit: Credit, held: Pick<Held, 'heads'>, now: number): Credit | number => {
  const rounds = Math.min(mostRounds, credit.rounds + (now - credit.roundsAt) / credit.roundEvery)
  if (rounds < 1) return Math.ceil((1 - rounds) * credit.roundEvery)
  let heads = 0
  for (const _ of held.heads()) heads++
  const roundEvery = Math.min(roundEveryMost, Math.max(roundEveryLeast, heads * roundEveryHead))
  return { ...credit, rounds: rounds - 1, roundsAt: now, roundEvery }
}

/** The credit after so many bytes; undefined where there is none left for them, unless they are due all the same. */
export const takeBytes = (
  credit: Credit,
  bytes: number,
  { held, now, spare: { most, perSecond }, always }: Terms,
): Credit | undefined => {
  const given = credit.given + bytes
  let { counted, due } = credit
  while (given > due && counted < held.count()) {
    const ids = held.arrival(counted, countedAtOnce)
    for (const id of ids) due += held.size(id)
    counted += ids.length
    if (ids.length === 0) break
  }
  if (given <= due) return { ...credit, given, counted, due }
  const spare = Math.min(most, credit.spare + ((now - credit.spareAt) / 1_000) * perSecond)
  if (spare <= 0 && !always) return undefined
  return { ...credit, given, counted, due: given, spare: spare - (given - due), spareAt: now }
}

const countedAtOnce = 1_024
