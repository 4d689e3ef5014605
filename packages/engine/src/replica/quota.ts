/**
 * What the authority asks of its buckets before it does anything for a peer. Everybody else has no quota: a replica chooses its peers, the
 * authority takes whoever comes.
 *
 * Commits are paid for twice. Before the signature is verified, whoever brings them pays, and whoever is named as their author only has to
 * have something left: a forged name costs its bearer nothing. After it, an author who is somebody else pays as well, so that nobody
 * writes more by having it carried by others.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { KeptOut } from './keptout.ts'
import { Buckets, defaultRates, mostBuckets, type Rates } from './rates.ts'

/** A peer as it is charged: `owner` once it is certified, `address` where the transport knows one. */
export interface Payer {
  readonly owner: string | undefined
  readonly address: string | undefined
}

export interface Weight {
  readonly commits: number
  readonly bytes: number
}

/** What a pipeline asks before it verifies, and tells after. */
export interface Gate {
  /** A run by `author`, in a repository that is to come into being by it if `founds`. All of it is let through or nothing. */
  bring(author: string, run: Weight, founds: boolean): Refusal | undefined
  /** Its signature is good. */
  signed(author: string, run: Weight): void
}

type Paid = Exclude<keyof Rates, 'offencesPerUser' | 'offencesPerAddress'>

/** Ms that somebody has to stay away, at most. Behind an address there may be others. */
const longestOut = { user: 3_600_000, address: 300_000 } as const
const anonymousOwner = /^anonymous:/
/** Commits above the rate are admitted in runs of so many seconds' worth: one by one, each would come ahead of its parents. */
const runSeconds = 5
/** Bytes that wait to be handled on all channels of one address. */
const waitingBytes = 4 * limits.channelQueue

export class Quota {
  readonly #now: () => number
  readonly #buckets: { readonly [Name in Paid]: Buckets }
  readonly #users: KeptOut
  readonly #addresses: KeptOut
  readonly #waiting = new Map<string, number>()

  constructor(rates: Partial<Rates>, now: () => number) {
    this.#now = now
    const { offencesPerUser, offencesPerAddress } = { ...defaultRates, ...rates }
    this.#users = new KeptOut(offencesPerUser, longestOut.user, mostBuckets)
    this.#addresses = new KeptOut(offencesPerAddress, longestOut.address, mostBuckets)
    const of = (name: Paid, runSeconds = 0): Buckets => new Buckets(rates[name] ?? defaultRates[name], { runSeconds })
    this.#buckets = {
      connectionsPerAddress: of('connectionsPerAddress'),
      loginsPerAddress: of('loginsPerAddress'),
      sessionsPerAddress: of('sessionsPerAddress'),
      certificatesPerUser: of('certificatesPerUser'),
      strangerBytesPerAddress: of('strangerBytesPerAddress'),
      framesPerUser: of('framesPerUser'),
      commitsPerUser: of('commitsPerUser', runSeconds),
      bytesPerUser: of('bytesPerUser', runSeconds),
      repositoriesPerUser: of('repositoriesPerUser'),
    }
  }

  /** Buckets and offenders remembered. */
  get size(): number {
    const sizes = Object.values(this.#buckets).map(({ size }) => size)
    return sizes.reduce((sum, size) => sum + size, this.#users.size + this.#addresses.size)
  }

  /** A new channel. */
  connects(address: string | undefined): Refusal | undefined {
    if (address === undefined) return undefined
    const out = this.#addresses.wait(address, this.#now())
    if (out > 0) return tooFast(`${address} is kept out`, out)
    return this.#take('connectionsPerAddress', address, 1, 'connections')
  }

  /** A user who offended before does not come back by another channel at once. */
  returns(payer: Payer): Refusal | undefined {
    const out = payer.owner === undefined ? 0 : this.#users.wait(payer.owner, this.#now())
    return out > 0 ? tooFast(`${payer.owner} is kept out`, out) : undefined
  }

  /** A channel was closed for what came by it. */
  offended(payer: Payer): void {
    if (payer.owner !== undefined && !anonymousOwner.test(payer.owner)) this.#users.offended(payer.owner, this.#now())
    else if (payer.address !== undefined) this.#addresses.offended(payer.address, this.#now())
    else if (payer.owner !== undefined) this.#users.offended(payer.owner, this.#now())
  }

  /** A login is to be judged. */
  logsIn(address: string | undefined): Refusal | undefined {
    const wait = address === undefined ? 0 : this.#buckets.loginsPerAddress.take(address, 1, this.#now())
    return wait > 0 ? later(wait) : undefined
  }

  /** A certificate is asked for; `isNew` when the session has had none. */
  certifies(owner: string, address: string | undefined, isNew: boolean): Refusal | undefined {
    const now = this.#now()
    const { certificatesPerUser, sessionsPerAddress } = this.#buckets
    let wait = Math.max(this.#users.wait(owner, now), certificatesPerUser.wait(owner, 1, now))
    if (wait === 0 && isNew && address !== undefined) wait = sessionsPerAddress.take(address, 1, now)
    if (wait > 0) return later(wait)
    certificatesPerUser.take(owner, 1, now)
    return undefined
  }

  /** Bytes from somebody who has proved nothing. */
  hears(address: string | undefined, bytes: number): Refusal | undefined {
    return address === undefined ? undefined : this.#take('strangerBytesPerAddress', address, bytes, 'bytes')
  }

  /** Takes room for bytes of that address that wait to be handled; false when there is none. */
  holds(address: string | undefined, bytes: number): boolean {
    if (address === undefined) return true
    const held = this.#waiting.get(address) ?? 0
    if (held + bytes > waitingBytes) return false
    this.#waiting.set(address, held + bytes)
    return true
  }

  /** They wait no more. */
  releases(address: string | undefined, bytes: number): void {
    if (address === undefined) return
    const held = (this.#waiting.get(address) ?? 0) - bytes
    if (held > 0) this.#waiting.set(address, held)
    else this.#waiting.delete(address)
  }

  /** Ms that a frame has to wait. */
  frame(payer: Payer): number {
    const key = userOf(payer)
    return key === undefined ? 0 : this.#buckets.framesPerUser.take(key, 1, this.#now())
  }

  /** Something is asked of the authority that may be one more entry in a log: it costs what a commit costs. */
  asks(payer: Payer): Refusal | undefined {
    const key = userOf(payer)
    return key === undefined ? undefined : this.#take('commitsPerUser', key, 1, 'requests')
  }

  /** The gate of what that peer brings. `payer` is asked each time: a login may change it. */
  gate(payer: () => Payer): Gate {
    return {
      bring: (author, run, founds) => this.#bring(payer(), author, run, founds),
      signed: (author, { commits, bytes }) => {
        if (author === payer().owner) return
        this.#buckets.commitsPerUser.charge(author, commits, this.#now())
        this.#buckets.bytesPerUser.charge(author, bytes, this.#now())
      },
    }
  }

  #bring(payer: Payer, author: string, { commits, bytes }: Weight, founds: boolean): Refusal | undefined {
    const now = this.#now()
    const { commitsPerUser, bytesPerUser, repositoriesPerUser } = this.#buckets
    const key = userOf(payer) ?? author
    if (founds && repositoriesPerUser.wait(key, 1, now) > 0) return refusal('TooManyRepositories', key)
    if (author !== payer.owner) {
      const wait = Math.max(commitsPerUser.wait(author, commits, now), bytesPerUser.wait(author, bytes, now))
      if (wait > 0) return tooFast(`commits of ${author}`, wait)
    }
    // Both or none.
    const room = bytesPerUser.wait(key, bytes, now)
    const wait = room > 0 ? bytesPerUser.take(key, bytes, now) : commitsPerUser.take(key, commits, now)
    if (wait > 0) return tooFast(`commits of ${key}`, wait)
    bytesPerUser.take(key, bytes, now)
    if (founds) repositoriesPerUser.take(key, 1, now)
    return undefined
  }

  #take(name: Paid, key: string, amount: number, what: string): Refusal | undefined {
    const wait = this.#buckets[name].take(key, amount, this.#now())
    return wait > 0 ? tooFast(`${what} of ${key}`, wait) : undefined
  }
}

/** Who shares a user's rates: an owner with all its sessions, and all of an address who are anonymous or not certified. */
export const userOf = ({ owner, address }: Payer): string | undefined =>
  owner === undefined || anonymousOwner.test(owner) ? (address ?? owner) : owner

/** A login is not kept and tried again: a person is told. */
const later = (wait: number): Refusal => refusal('LoginRefused', `too many at once: try again in ${seconds(wait)}`)

const tooFast = (about: string, wait: number): Refusal => refusal('TooFast', `${about}, ${seconds(wait)}`)

const seconds = (wait: number): string => `${Math.ceil(wait / 1_000)} s`
