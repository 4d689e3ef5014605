/** One replica of the simulated mesh, and the server: the two machines, its links, and how far each commit came to reach it. */
import { Gossip } from '../../../packages/engine/src/mesh/gossip.ts'
import { Topology } from '../../../packages/engine/src/mesh/topology.ts'

/** One side of a link. */
export interface End {
  /** The same on both sides; another one when two link again. */
  readonly link: number
  readonly peer: Node
  /** One way, ms. */
  readonly latency: number
}

export class Node {
  readonly index: number
  readonly session: string
  readonly topology: Topology
  readonly gossip: Gossip
  readonly isServer: boolean
  /** No data channel with it ever opens. */
  readonly isBlocked: boolean
  readonly ends = new Map<string, End>()
  /** Wishes without an answer yet: the number of the latest for each session. */
  readonly wishes = new Map<string, number>()
  /** Ms to the server, one way. */
  readonly serverLatency: number
  /** By commit: 0 while it is not held, then one more than the hops it came. */
  hops: Uint8Array
  alive = true
  joinedAt: number
  topologyTimer = 0
  gossipTimer = 0

  constructor(
    index: number,
    session: string,
    options: { serverLatency: number; now: number; isServer?: boolean; isBlocked?: boolean },
  ) {
    this.index = index
    this.session = session
    this.isServer = options.isServer === true
    this.isBlocked = options.isBlocked === true
    this.serverLatency = options.serverLatency
    this.joinedAt = options.now
    this.topology = new Topology(session)
    this.gossip = new Gossip(this.isServer)
    this.hops = new Uint8Array(64)
  }

  holds(commit: number): boolean {
    return (this.hops[commit] ?? 0) > 0
  }

  hopsOf(commit: number): number {
    return (this.hops[commit] ?? 0) - 1
  }

  hold(commit: number, hops: number): void {
    if (commit >= this.hops.length) {
      const longer = new Uint8Array(Math.max(commit + 1, this.hops.length * 2))
      longer.set(this.hops)
      this.hops = longer
    }
    this.hops[commit] = Math.min(255, hops + 1)
  }
}
