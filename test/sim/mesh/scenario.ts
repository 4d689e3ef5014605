/**
 * The life of one mesh: all join, commits are made, the server goes, 30 % die at once, the rest goes on writing and heals; then 1 % a
 * second leave without a word, and later, with the server back, as many join.
 */
import { Stream } from '../random.ts'
import { Measures } from './measures.ts'
import type { Node } from './node.ts'
import { World } from './world.ts'

export interface Plan {
  readonly seed: string
  readonly replicas: number
  /** So many while the server is up; a quarter of it while others die, and again after that; as many under churn. */
  readonly commits: number
}

export interface Figures {
  /** At the beginning; under churn, at the end. */
  readonly replicas: number
  readonly degreeMax: number
  readonly hopsP99: number
  /** Payloads that a replica receives for a commit of somebody else; the server likewise, while it is up. */
  readonly copiesMean: number
  readonly serverCopiesMean: number
  readonly deliveredAll: boolean
  /** From the death until those left are connected and have what was made until five seconds later; under churn, from its end. */
  readonly healSeconds: number
  readonly bytesPerReplicaPerCommit: number
  /** Ms from the making of a commit until a replica has it. */
  readonly delayP50: number
  readonly delayP99: number
}

export interface Played extends Figures {
  readonly churn: Figures
}

/** Ms. */
const joining = 10_000
const settling = 15_000
const writing = 20_000
const landing = 8_000
const dying = 0.3
const healing = 5_000
const longestHealing = 60_000
const leavingEach = 0.01
const churning = 20_000

export class Scenario {
  readonly plan: Plan
  readonly world: World
  readonly #random: Stream
  readonly #report: ((line: string) => void) | undefined

  /** `report` hears how it stands after each part. */
  constructor(plan: Plan, report?: (line: string) => void) {
    this.plan = plan
    this.#report = report
    const stream = new Stream(plan.seed, `mesh ${plan.replicas}`)
    this.world = new World(stream)
    this.#random = stream.branch('scenario')
  }

  play(): Played {
    const { world, plan } = this
    for (let left = plan.replicas; left > 0; left--) world.schedule(this.#random.int(joining), () => void world.join())
    world.run(joining + settling)
    this.#say('joined')
    // What it took to find each other is no cost of a commit.
    world.measures.bytes = 0
    this.#write(plan.commits, writing)
    world.run(world.now + writing + landing)
    this.#say('written')
    world.serverLeaves()
    world.run(world.now + 2_000)
    this.#write(Math.ceil(plan.commits / 4), 2_000 + healing)
    world.run(world.now + 2_000)
    const killedAt = world.now
    for (const node of this.#random.shuffle(world.online).slice(0, Math.floor(plan.replicas * dying))) world.kill(node)
    this.#say('died')
    world.run(world.now + healing)
    const healed = this.#heal(killedAt)
    this.#say('healed')
    this.#write(Math.ceil(plan.commits / 4), writing / 4)
    world.run(world.now + writing / 4 + landing)
    this.#say('written again')
    const figures = this.#figures(healed)
    return { ...figures, replicas: plan.replicas, churn: this.#churn() }
  }

  /** So many commits at random times within a span; one in eight is a burst of a few at once. */
  #write(count: number, span: number): void {
    for (let left = count; left > 0; ) {
      const burst = Math.min(left, this.#random.chance(0.125) ? 2 + this.#random.int(3) : 1)
      left -= burst
      this.world.schedule(this.#random.int(span), () => {
        if (this.world.online.length > 0) this.world.make(this.#random.pick(this.world.online), burst)
      })
    }
  }

  /** Ms after `from` until those who are here are connected and have everything made until now. */
  #heal(from: number): number {
    const { world } = this
    const commits = world.commits.length
    for (;;) {
      const healed = this.islands() <= 1 && this.#lacking(commits) === 0
      if (healed || world.now - from > longestHealing) return world.now - from
      world.run(world.now + 100)
    }
  }

  /** Commits that somebody lacks who was there, though somebody has them. */
  #lacking(until = this.world.commits.length): number {
    let found = 0
    for (const { index, madeAt } of this.world.commits.slice(0, until)) {
      let held = false
      let lacked = false
      for (const node of this.world.online) {
        if (node.holds(index)) held = true
        else if (node.joinedAt <= madeAt) lacked = true
      }
      if (held && lacked) found++
    }
    return found
  }

  /** Parts that no link of the living joins; members that only the server reaches are no part of the overlay. */
  islands(): number {
    const seen = new Set<Node>()
    let count = 0
    for (const start of this.world.online) {
      if (seen.has(start) || start.isBlocked) continue
      count++
      const open = [start]
      seen.add(start)
      for (let node = open.pop(); node !== undefined; node = open.pop()) {
        for (const { peer } of node.ends.values()) {
          if (peer.isServer || !peer.alive || seen.has(peer) || !peer.ends.has(node.session)) continue
          seen.add(peer)
          open.push(peer)
        }
      }
    }
    return count
  }

  #churn(): Figures {
    const { world, plan } = this
    world.measures = new Measures()
    const gap = 1_000 / (world.online.length * leavingEach)
    const leave = (): void => {
      if (world.online.length > 1) world.kill(this.#random.pick(world.online))
    }
    this.#write(Math.ceil(plan.commits / 2), churning)
    for (let at = gap; at < churning; at += gap) world.schedule(at, leave)
    world.run(world.now + churning)
    this.#say('left')
    world.serverReturns()
    world.run(world.now + 3_000)
    this.#write(Math.ceil(plan.commits / 2), churning)
    for (let at = gap; at < churning; at += gap) {
      world.schedule(at, leave)
      world.schedule(at, () => void world.join())
    }
    world.run(world.now + churning)
    const healed = this.#heal(world.now)
    this.#say('came and left')
    return this.#figures(healed)
  }

  #say(what: string): void {
    if (this.#report === undefined) return
    const { world } = this
    const { grafts, prunes, copies, receivers, reconciled, delays } = world.measures
    const degrees = new Map<number, number>()
    let eager = 0
    for (const { topology, gossip } of world.online) {
      degrees.set(topology.links.size, (degrees.get(topology.links.size) ?? 0) + 1)
      for (const link of gossip.links.values()) if (link.eager) eager++
    }
    const links = [...degrees].sort(([a], [b]) => a - b).map(([degree, count]) => `${degree}:${count}`)
    const parts = [
      `${(world.now / 1_000).toFixed(1)} s ${what}: ${world.online.length} here`,
      `${this.islands()} parts`,
      `members by links ${links.join(' ')}`,
      `${(eager / world.online.length).toFixed(2)} of them eager`,
      `${(copies / Math.max(1, receivers)).toFixed(3)} copies, ${reconciled} by reconciliation`,
      `${grafts} grafts, ${prunes} prunes`,
      `delay ${delays.percentile(0.5)} ms, 99 % ${delays.percentile(0.99)} ms`,
      `${this.#lacking()} commits lacked`,
      `${world.events} events`,
    ]
    this.#report(parts.join('; '))
  }

  #figures(healed: number): Figures {
    const { measures, online } = this.world
    const { commits, receivers, copies, bytes, serverCommits, serverCopies, hops, delays, degreeMax } = measures
    return {
      replicas: online.length,
      degreeMax,
      hopsP99: hops.percentile(0.99),
      copiesMean: rounded(copies / Math.max(1, receivers)),
      serverCopiesMean: rounded(serverCopies / Math.max(1, serverCommits)),
      deliveredAll: this.#lacking() === 0 && this.islands() <= 1,
      healSeconds: rounded(healed / 1_000),
      bytesPerReplicaPerCommit: Math.round(bytes / Math.max(1, receivers + commits)),
      delayP50: delays.percentile(0.5),
      delayP99: delays.percentile(0.99),
    }
  }
}

const rounded = (figure: number): number => Math.round(figure * 1_000) / 1_000
