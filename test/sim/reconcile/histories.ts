/** What the replicas of a seed hold when they meet, and how it grows: shared chains, moved ones, forks, names and ids that begin alike. */
import { type Commit, commitAfter, hashText, universe } from '../../sync/pair.ts'
import type { Stream } from '../random.ts'
import type { Replica } from './replica.ts'

export interface Shape {
  /** Chains that all hold, and their lengths at most. */
  readonly chains: number
  readonly length: number
  /** Of those, how many move on some replica, and by how much at most. */
  readonly moved: number
  readonly by: number
  /** New chains on each replica, at most. */
  readonly fresh: number
  /** Chains that two replicas move. */
  readonly forks: number
  /** Branches of one more chain, of which each replica holds half. */
  readonly branches: number
  /** Names and ids begin alike. */
  readonly mined: boolean
  /** Share of commits that build on another chain. */
  readonly crossing: number
}

const minedId = '0123456789abcdef'

/** A commit whose id begins as others do. */
const mined = (commit: Commit): Commit => {
  const twin = { ...commit, id: `${minedId}${commit.id.slice(16)}` }
  universe.set(twin.id, twin)
  return twin
}

export class Histories {
  readonly #random: Stream
  readonly #shape: Shape
  readonly #replicas: readonly Replica[]
  #made = 0

  constructor(random: Stream, shape: Shape, replicas: readonly Replica[]) {
    this.#random = random
    this.#shape = shape
    this.#replicas = replicas
  }

  begin(): void {
    const { chains, length, moved, by, fresh, forks, branches } = this.#shape
    const random = this.#random
    const named = Array.from({ length: chains }, (_, index) => this.#chain(index))
    for (const chain of named) {
      for (let count = 1 + random.int(length); count > 0; count--) this.#grow(this.#replicas, chain)
    }
    const shuffled = random.shuffle(named)
    for (const chain of shuffled.slice(0, moved)) this.#push(this.#ownerOf(chain), chain, 1 + random.int(by))
    for (const chain of shuffled.slice(moved, moved + forks)) {
      for (const replica of random.shuffle(this.#replicas).slice(0, 2)) this.#push(replica, chain, 1 + random.int(by))
    }
    for (const replica of this.#replicas) {
      for (let count = random.int(fresh + 1); count > 0; count--)
        this.#push(replica, this.#chain(this.#made++), 1 + random.int(by))
    }
    if (branches > 0) this.#fork(branches)
  }

  /** A chain that somebody made, named like others in a mined history. */
  #chain(index: number): string {
    const owner = this.#random.int(4)
    const [session, incarnation] = [
      this.#replicas[owner]?.session ?? hashText(`session ${this.#random.uint32()}`),
      hashText(`incarnation ${index} ${this.#made++}`).slice(0, 16),
    ]
    if (!this.#shape.mined) return session + incarnation
    return `aaaaaaaa${hashText(session + incarnation).slice(8)}bbbbbbbb${incarnation.slice(8)}`
  }

  /** One more commit of a chain, held by all of these. */
  #grow(replicas: readonly Replica[], chain: string, branch = ''): Commit {
    const [replica] = replicas
    if (replica === undefined) throw new Error('a commit that nobody holds')
    const [tip] = replica.headsOf(chain)
    const other =
      replica.count() > 0 && this.#random.chance(this.#shape.crossing) ? this.#random.pick(replica.order) : ''
    const parents = other !== '' && universe.get(other)?.chain !== chain ? [other] : []
    const plain = commitAfter(chain, tip && universe.get(tip.id), parents, branch, 40 + this.#random.int(200))
    const commit = this.#shape.mined && this.#random.chance(0.4) ? mined(plain) : plain
    for (const one of replicas) one.admit([commit])
    return commit
  }

  /** Nobody moves another's chain, or it would be sent back to whose it is. */
  #ownerOf(chain: string): Replica {
    const owner = this.#replicas.find(({ session }) => chain.startsWith(session))
    return owner ?? this.#random.pick(this.#replicas)
  }

  #push(replica: Replica, chain: string, count: number): void {
    for (let left = count; left > 0; left--) this.#grow([replica], chain, `${replica.name}${this.#made++}`)
  }

  /** A chain of so many branches from one commit. */
  #fork(branches: number): void {
    const chain = this.#chain(this.#made++)
    const first = this.#grow(this.#replicas, chain)
    for (let branch = 0; branch < branches; branch++) {
      const commit = commitAfter(chain, first, [], `branch ${branch}`, 60)
      for (const replica of this.#replicas) if (this.#random.chance(0.5)) replica.admit([commit])
    }
  }

  /** Between two meetings: a replica writes on, mostly in chains of its own. */
  later(replica: Replica): void {
    for (let count = this.#random.int(4); count > 0; count--) {
      const chain = replica.newChain()
      for (let left = 1 + this.#random.int(5); left > 0; left--) this.#grow([replica], chain, `${this.#made++}`)
    }
  }

  /** One commit now, to be told to the channels. */
  write(replica: Replica): Commit {
    return this.#grow([replica], replica.newChain(), `live ${this.#made++}`)
  }

  /** It goes on in a chain that its backup holds, whatever it wrote there before. */
  forkSelf(replica: Replica): void {
    if (replica.count() > 0) this.#push(replica, universe.get(this.#random.pick(replica.order))?.chain ?? '', 1)
  }
}
