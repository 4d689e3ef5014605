/**
 * How much of the authority one user and one address may have. A bucket holds tokens up to its burst and gains so many a second; what a
 * peer does takes some, and an empty bucket says how long to wait. The clock is passed in, and the number of buckets is bounded: the one
 * unused for longest gives way, which is as good as full by then, so that a million names fill no memory and win next to nothing.
 *
 * An operator may set other rates (`serve({ rates })`). They decide how soon something is admitted, never what counts, so no two replicas
 * have to agree on them; what they have to agree on is in `limits.ts`.
 */

export interface Rate {
  /** At once, after a while without any. */
  readonly burst: number
  /** In the long run. */
  readonly perSecond: number
}

/**
 * A user is an owner, whatever the number of its sessions. Anonymous accounts cost nothing, so all of one address are one user here: a
 * school class behind one address shares what is given to one person, which is why that is many times what one person types.
 */
export const defaultRates = {
  /** Channels from one address. */
  connectionsPerAddress: { burst: 300, perSecond: 5 },
  /** Logins judged for one address: each may cost the app a password hash or a request to somebody else. */
  loginsPerAddress: { burst: 100, perSecond: 1 },
  /** Sessions certified for the first time from one address: each anonymous one is a new account. */
  sessionsPerAddress: { burst: 100, perSecond: 0.1 },
  /** Certificates of one owner, renewals included. */
  certificatesPerUser: { burst: 50, perSecond: 0.05 },
  /** Bytes of frames from one address that has not proved a key on their channel. An honest greeting and proof take less than 2 KB. */
  strangerBytesPerAddress: { burst: 4_194_304, perSecond: 65_536 },
  /** Frames of one user. Above it they wait, and a channel on which too many wait is closed. */
  framesPerUser: { burst: 10_000, perSecond: 1_000 },
  /** Commits that one user brings, and again those that one user wrote, whoever brings them: an hour of typing at once. */
  commitsPerUser: { burst: 20_000, perSecond: 100 },
  /** Their bytes. */
  bytesPerUser: { burst: 67_108_864, perSecond: 524_288 },
  /** Channels of one address closed for offences by somebody who is nobody's account, before the address is kept out. */
  offencesPerAddress: { burst: 5, perSecond: 0.02 },
  /** Channels of one user closed for offences, before the user is kept out. */
  offencesPerUser: { burst: 1, perSecond: 0.002 },
  /** Repositories that come into being by one user's first commit. */
  repositoriesPerUser: { burst: 1_000, perSecond: 0.02 },
} as const satisfies Record<string, Rate>

export type Rates = { readonly [Name in keyof typeof defaultRates]: Rate }

/** Users and addresses remembered at once, each in its table. */
export const mostBuckets = 50_000

interface Bucket {
  tokens: number
  /** When `tokens` was true, ms. */
  at: number
  /** It was asked for more than it had, and gives nothing until it has gained a run. */
  dry: boolean
}

export class Buckets {
  readonly #rate: Rate
  readonly #run: number
  readonly #most: number
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>()

  /** `runSeconds` of tokens are what an empty bucket gains before it gives again, so that what waits comes in runs and not one by one. */
  constructor(rate: Rate, { runSeconds = 0, most = mostBuckets }: { runSeconds?: number; most?: number } = {}) {
    this.#rate = rate
    this.#run = Math.min(rate.burst, rate.perSecond * runSeconds)
    this.#most = most
  }

  get size(): number {
    return this.#buckets.size
  }

  /**
   * Takes so many tokens. Gives 0, or takes none and gives the ms after which it is worth another try. What is more than the burst is
   * given by a full bucket, which is in debt afterwards.
   */
  take(key: string, amount: number, now: number): number {
    const bucket = this.#refilled(key, now)
    const wait = this.#wait(bucket, amount)
    if (wait > 0) bucket.dry = true
    else {
      bucket.dry = false
      bucket.tokens -= amount
    }
    this.#keep(key, bucket)
    return wait
  }

  /** The same without taking. */
  wait(key: string, amount: number, now: number): number {
    return this.#wait(this.#refilled(key, now), amount)
  }

  /** Takes what is already used, into debt if need be. */
  charge(key: string, amount: number, now: number): void {
    const bucket = this.#refilled(key, now)
    bucket.tokens -= amount
    this.#keep(key, bucket)
  }

  #refilled(key: string, now: number): Bucket {
    const { burst, perSecond } = this.#rate
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return { tokens: burst, at: now, dry: false }
    const gained = (Math.max(0, now - bucket.at) / 1_000) * perSecond
    return { tokens: Math.min(burst, bucket.tokens + gained), at: Math.max(now, bucket.at), dry: bucket.dry }
  }

  #wait(bucket: Bucket, amount: number): number {
    const { burst, perSecond } = this.#rate
    const missing = Math.max(Math.min(amount, burst), bucket.dry ? this.#run : 0) - bucket.tokens
    return missing <= 0 ? 0 : perSecond === 0 ? Number.POSITIVE_INFINITY : Math.ceil((missing / perSecond) * 1_000)
  }

  #keep(key: string, bucket: Bucket): void {
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size <= this.#most) return
    const [oldest] = this.#buckets.keys()
    if (oldest !== undefined) this.#buckets.delete(oldest)
  }
}
