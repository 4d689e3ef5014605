/**
 * Thousands of replicas that run the two machines of the mesh, and a server, in virtual time. Nothing but the machines decides anything: here are only the
 * paths between them. A link's latency is a function of its two ends; a link takes some signals over the path that the machine chose, and
 * sometimes does not come about; reconciliation is one exchange of what the other lacks when a link opens.
 */

import type { Surroundings } from '../../../packages/engine/src/mesh/around.ts'
import type { TopologyEffect, TopologyEvent } from '../../../packages/engine/src/mesh/overlay.ts'
import type { Arrival, GossipEffect, GossipEvent } from '../../../packages/engine/src/mesh/tree.ts'
import { EventHeap } from '../heap.ts'
import type { Stream } from '../random.ts'
import { Measures, sizes } from './measures.ts'
import { Node } from './node.ts'

export interface Commit {
  readonly index: number
  readonly id: string
  readonly author: Node
  readonly madeAt: number
  readonly measures: Measures
  readonly serverUp: boolean
}

/** An attempt that nobody answers is given up after so many ms. */
const unansweredAfter = 5_000
/** Packets are tried for so long. */
const unreachableAfter = 6_000
/** Signals of an attempt after the wish was accepted, and ms that the two ends take for packets and keys. */
const signalsOfAttempt = 3
const setUp = 120
/** Attempts that fail by chance; pairs between which none ever succeeds; members whom nobody reaches but the server. */
const failing = 0.03
const walled = 0.02
/** The first members reach each other, or a small mesh may be in parts from its beginning. */
const reachable = 8
const blocked = 0.03
/** Verifying and storing before a commit is passed on, ms. */
const admitting = 3
/** Of those whose peer died, how many notice at once, and the longest silence of the others, ms. */
const noticeAtOnce = 0.25
const silence = { least: 2_000, most: 5_000 }

export class World {
  now = 0
  readonly server: Node
  serverUp = true
  readonly nodes: Node[] = []
  readonly bySession = new Map<string, Node>()
  readonly commits: Commit[] = []
  readonly #byId = new Map<string, Commit>()
  measures = new Measures()
  /** Runs when a commit reached a replica. */
  delivered: (commit: Commit, node: Node) => void = () => undefined
  events = 0
  readonly #heap = new EventHeap()
  #sequence = 0
  #links = 0
  #wishes = 0
  readonly #salt: number
  readonly #random: Stream
  readonly #chance: Stream
  readonly #online: Node[] = []
  readonly #place = new Map<Node, number>()

  constructor(random: Stream) {
    this.#random = random.branch('world')
    this.#chance = random.branch('machines')
    this.#salt = this.#random.uint32()
    this.server = new Node(-1, this.#session(), { serverLatency: 0, now: 0, isServer: true })
    this.bySession.set(this.server.session, this.server)
  }

  #session(): string {
    return Buffer.from(this.#random.bytes(32)).toString('hex')
  }

  get #around(): Surroundings {
    return { now: this.now, random: (below) => this.#chance.int(below) }
  }

  schedule(after: number, run: () => void): void {
    this.#heap.push({ time: this.now + after, sequence: this.#sequence++, label: '', run })
  }

  /** Runs until then. */
  run(until: number): void {
    for (let event = this.#heap.peek(); event !== undefined && event.time <= until; event = this.#heap.peek()) {
      this.#heap.pop()
      this.now = event.time
      this.events++
      event.run?.()
    }
    this.now = until
  }

  #mixed(left: number, right: number, salt: number): number {
    let mixed = Math.imul(Math.min(left, right) + 2, 0x9e3779b1) ^ Math.imul(Math.max(left, right) + 7, 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 15) ^ this.#salt ^ salt, 0xc2b2ae35)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0x27d4eb2f)
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 4_294_967_296
  }

  /** One way, ms: 5 at least, 45 in the middle, and 150 at most for one in a few hundred. */
  #latency(left: Node, right: Node): number {
    return Math.min(150, 5 - 35 * Math.log(1 - this.#mixed(left.index, right.index, 1)))
  }

  // Members

  /** A member starts, and reaches the server where it is up. */
  join(): Node {
    const node = new Node(this.nodes.length, this.#session(), {
      serverLatency: 10 + this.#random.int(60),
      now: this.now,
      isBlocked: this.nodes.length > 2 && this.#random.chance(blocked),
    })
    this.nodes.push(node)
    this.bySession.set(node.session, node)
    this.#place.set(node, this.#online.push(node) - 1)
    if (this.serverUp) this.#reachServer(node)
    return node
  }

  get online(): readonly Node[] {
    return this.#online
  }

  #reachServer(node: Node): void {
    const link = this.#links++
    const latency = node.serverLatency
    node.ends.set(this.server.session, { link, peer: this.server, latency })
    this.server.ends.set(node.session, { link, peer: node, latency })
    this.gossip(this.server, { kind: 'linked', link: node.session, server: false })
    this.gossip(node, { kind: 'linked', link: this.server.session, server: true })
    this.topology(node, { kind: 'server here', session: this.server.session })
    this.#reconcile(node, this.server)
  }

  serverLeaves(): void {
    this.serverUp = false
    // Whom only the server reached is out of this until it returns; here, for good.
    for (const node of [...this.#online]) if (node.isBlocked) this.kill(node)
    for (const node of this.#online) {
      this.server.ends.delete(node.session)
      this.gossip(this.server, { kind: 'unlinked', link: node.session })
      this.schedule(this.#random.int(1_000), () => {
        if (!node.alive || this.serverUp) return
        node.ends.delete(this.server.session)
        this.gossip(node, { kind: 'unlinked', link: this.server.session })
        this.topology(node, { kind: 'server away' })
      })
    }
  }

  serverReturns(): void {
    this.serverUp = true
    for (const node of this.#online) {
      this.schedule(this.#random.int(2_000), () => {
        if (node.alive && !node.ends.has(this.server.session)) this.#reachServer(node)
      })
    }
  }

  /** It is gone without a word. */
  kill(node: Node): void {
    node.alive = false
    const place = this.#place.get(node) ?? -1
    const last = this.#online.pop()
    if (last !== undefined && last !== node) {
      this.#online[place] = last
      this.#place.set(last, place)
    }
    for (const { peer, link } of node.ends.values()) {
      const after = this.#random.chance(noticeAtOnce)
        ? 50
        : silence.least + this.#random.int(silence.most - silence.least)
      this.schedule(after, () => {
        if (peer.alive && peer.ends.get(node.session)?.link === link) this.#unlink(peer, node, 'gone')
      })
    }
    node.hops = new Uint8Array(0)
    node.ends.clear()
  }

  #unlink(node: Node, peer: Node, reason: 'gone' | 'dropped'): void {
    node.ends.delete(peer.session)
    this.gossip(node, { kind: 'unlinked', link: peer.session })
    if (!node.isServer) this.topology(node, { kind: 'unlinked', session: peer.session, reason })
  }

  // Commits

  /** So many at once. */
  make(author: Node, count = 1): void {
    const ids: string[] = []
    for (let left = count; left > 0; left--) {
      const commit: Commit = {
        index: this.commits.length,
        id: this.#session(),
        author,
        madeAt: this.now,
        measures: this.measures,
        serverUp: this.serverUp,
      }
      this.commits.push(commit)
      this.#byId.set(commit.id, commit)
      this.measures.commits++
      this.measures.receivers += this.#online.length - 1
      if (this.serverUp) this.measures.serverCommits++
      author.hold(commit.index, 0)
      ids.push(commit.id)
    }
    this.gossip(author, { kind: 'made', ids })
  }

  #arrive(node: Node, commit: Commit, hops: number): boolean {
    const { measures } = commit
    if (node.isServer) {
      if (commit.serverUp && this.serverUp) measures.serverCopies++
    } else if (node.joinedAt <= commit.madeAt) measures.copies++
    if (node.holds(commit.index)) return false
    node.hold(commit.index, hops)
    if (!node.isServer && node.joinedAt <= commit.madeAt) {
      measures.hops.add(hops)
      measures.delays.add(this.now - commit.madeAt)
    }
    this.delivered(commit, node)
    return true
  }

  /** What the two lack of each other, when a link has just opened. */
  #reconcile(left: Node, right: Node): void {
    const latency = left.ends.get(right.session)?.latency ?? 0
    this.schedule(2 * latency + admitting, () => {
      this.#bring(left, right)
      this.#bring(right, left)
    })
  }

  #bring(from: Node, to: Node): void {
    if (!from.alive || !to.alive || !from.ends.has(to.session)) return
    const ids: string[] = []
    for (const commit of this.commits) {
      if (!from.holds(commit.index) || to.holds(commit.index)) continue
      ids.push(commit.id)
      this.#arrive(to, commit, from.hopsOf(commit.index) + 1)
      commit.measures.reconciled++
      if (to.isServer && commit.serverUp) commit.measures.serverCopies--
      this.#weigh(to, sizes.commit)
    }
    if (ids.length > 0) this.gossip(to, { kind: 'known', link: from.session, ids })
  }

  // The machines

  topology(node: Node, event: TopologyEvent): void {
    for (const effect of node.topology.step(event, this.#around)) this.#topologyEffect(node, effect)
    const degree = node.topology.links.size
    if (degree > this.measures.degreeMax) this.measures.degreeMax = degree
  }

  #topologyEffect(node: Node, effect: TopologyEffect): void {
    switch (effect.kind) {
      case 'seek':
        this.#introduce(node, effect.count)
        break
      case 'dial':
      case 'ask':
        this.#wish(node, effect.session, effect.via, effect.lonely)
        break
      case 'accept':
      case 'decline':
        throw new Error('answered without a question')
      case 'drop': {
        const end = node.ends.get(effect.session)
        if (end === undefined) break
        this.send(node, effect.session, sizes.frame, (peer) => this.#unlink(peer, node, 'dropped'))
        node.ends.delete(effect.session)
        this.gossip(node, { kind: 'unlinked', link: effect.session })
        break
      }
      case 'tell': {
        const { sessions } = effect
        const bytes = sizes.frame + sizes.session * sessions.length
        for (const to of node.ends.keys()) {
          this.send(node, to, bytes, (peer) => {
            this.gossip(peer, { kind: 'neighbours', link: node.session, sessions })
            if (!peer.isServer) this.topology(peer, { kind: 'neighbours', link: node.session, sessions })
          })
        }
        break
      }
      case 'wake': {
        const timer = ++node.topologyTimer
        this.schedule(effect.after, () => {
          if (node.alive && node.topologyTimer === timer) this.topology(node, { kind: 'wake' })
        })
      }
    }
  }

  gossip(node: Node, event: GossipEvent): void {
    for (const effect of node.gossip.step(event, this.#around)) this.#gossipEffect(node, effect)
  }

  #gossipEffect(node: Node, effect: GossipEffect): void {
    switch (effect.kind) {
      case 'push':
        this.#push(node, effect.link, effect.ids)
        break
      case 'have': {
        const { ids } = effect
        this.send(node, effect.link, sizes.frame + sizes.shortId * ids.length, (peer) =>
          this.gossip(peer, { kind: 'told', link: node.session, ids }),
        )
        break
      }
      case 'prune':
        this.measures.prunes++
        this.send(node, effect.link, sizes.frame, (peer) => this.gossip(peer, { kind: 'pruned', link: node.session }))
        break
      case 'graft': {
        const { ids } = effect
        this.measures.grafts += ids.length
        this.send(node, effect.link, sizes.frame + sizes.shortId * ids.length, (peer) =>
          this.gossip(peer, { kind: 'grafted', link: node.session, ids }),
        )
        break
      }
      case 'withholds':
        this.measures.withheld++
        break
      case 'wake': {
        const timer = ++node.gossipTimer
        this.schedule(effect.after, () => {
          if (node.alive && node.gossipTimer === timer) this.gossip(node, { kind: 'wake' })
        })
      }
    }
  }

  #push(node: Node, link: string, ids: readonly string[]): void {
    const carried = ids.flatMap((id) => {
      const commit = this.#byId.get(id)
      return commit === undefined ? [] : [{ commit, hops: node.hopsOf(commit.index) + 1 }]
    })
    const deliver = (peer: Node): void => {
      const commits: Arrival[] = carried.map(({ commit, hops }) => ({
        id: commit.id,
        author: commit.author.session,
        fresh: this.#arrive(peer, commit, hops),
      }))
      this.gossip(peer, { kind: 'received', link: node.session, commits })
    }
    this.send(node, link, sizes.frame + sizes.commit * ids.length, deliver, admitting)
  }

  /** Over a link; lost when that ends before it arrives. */
  send(node: Node, session: string, bytes: number, deliver: (peer: Node) => void, more = 0): void {
    const end = node.ends.get(session)
    if (end === undefined) return
    this.schedule(end.latency + more, () => {
      const { peer } = end
      if (!peer.alive || peer.ends.get(node.session)?.link !== end.link) return
      this.#weigh(peer, bytes)
      deliver(peer)
    })
  }

  #weigh(node: Node, bytes: number): void {
    if (!node.isServer) this.measures.bytes += bytes
  }

  // How links come about

  #introduce(node: Node, count: number): void {
    this.schedule(2 * node.serverLatency, () => {
      if (!this.serverUp || !node.alive || !node.ends.has(this.server.session)) return
      const sessions = new Set<string>()
      for (let tries = 3 * count; tries > 0 && sessions.size < count; tries--) {
        const other = this.#random.pick(this.#online)
        if (other !== node) sessions.add(other.session)
      }
      this.#weigh(node, sizes.frame + sizes.session * sessions.size)
      this.topology(node, { kind: 'introduced', sessions: [...sessions], members: this.#online.length - 1 })
    })
  }

  /** Ms over the path, one way; undefined where there is none. */
  #path(from: Node, to: Node, via: string): number | undefined {
    const first = from.ends.get(via)
    if (first === undefined || !first.peer.alive) return undefined
    const second = first.peer.ends.get(to.session)
    if (second === undefined || !to.alive) return undefined
    return first.latency + second.latency
  }

  #wish(from: Node, session: string, via: string, lonely: boolean): void {
    const wish = this.#wishes++
    from.wishes.set(session, wish)
    this.schedule(unansweredAfter, () => {
      if (from.wishes.get(session) !== wish) return
      from.wishes.delete(session)
      if (from.alive) this.topology(from, { kind: 'failed', session, why: 'unanswered' })
    })
    const to = this.bySession.get(session)
    const latency = to && this.#path(from, to, via)
    if (to === undefined || latency === undefined) return
    this.schedule(latency, () => {
      if (!to.alive || this.#path(from, to, via) === undefined) return
      this.#weigh(to, sizes.signal)
      const effects = to.topology.step({ kind: 'asked', session: from.session, lonely }, this.#around)
      for (const effect of effects) {
        if (effect.kind === 'accept') this.#setUp(from, to, via)
        else if (effect.kind === 'decline') this.#decline(from, to, latency)
        else this.#topologyEffect(to, effect)
      }
    })
  }

  #decline(from: Node, to: Node, latency: number): void {
    this.schedule(latency, () => {
      if (!from.alive) return
      from.wishes.delete(to.session)
      this.topology(from, { kind: 'busy', session: to.session })
    })
  }

  #setUp(from: Node, to: Node, via: string): void {
    const latency = this.#path(from, to, via)
    if (latency === undefined) return
    from.wishes.delete(to.session)
    to.wishes.delete(from.session)
    const isWalled = Math.max(from.index, to.index) >= reachable && this.#mixed(from.index, to.index, 2) < walled
    const fails = this.#random.chance(failing) || isWalled || from.isBlocked || to.isBlocked
    this.schedule(signalsOfAttempt * latency + (fails ? unreachableAfter : setUp), () => {
      if (!from.alive || !to.alive) {
        const left = from.alive ? from : to
        const other = from.alive ? to : from
        if (left.alive) this.topology(left, { kind: 'failed', session: other.session, why: 'unanswered' })
        return
      }
      if (fails) {
        this.topology(from, { kind: 'failed', session: to.session, why: 'unreachable' })
        this.topology(to, { kind: 'failed', session: from.session, why: 'unreachable' })
        return
      }
      this.#link(from, to)
    })
  }

  #link(left: Node, right: Node): void {
    if (left.ends.has(right.session)) {
      this.topology(left, { kind: 'linked', session: right.session })
      this.topology(right, { kind: 'linked', session: left.session })
      return
    }
    const link = this.#links++
    const latency = this.#latency(left, right)
    left.ends.set(right.session, { link, peer: right, latency })
    right.ends.set(left.session, { link, peer: left, latency })
    for (const [node, peer] of [
      [left, right],
      [right, left],
    ] as const) {
      if (node.ends.get(peer.session)?.link !== link) continue
      this.gossip(node, { kind: 'linked', link: peer.session, server: false })
      this.topology(node, { kind: 'linked', session: peer.session })
    }
    this.#reconcile(left, right)
  }
}
