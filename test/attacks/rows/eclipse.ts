/**
 * Rows D6 and E8: a member whose neighbours but one say that they have what they never send, lie about whom they know, and crowd in. The
 * member is the two real machines; everybody else is played.
 */
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { mostLinks } from '../../../packages/engine/src/mesh/degree.ts'
import { Gossip, shortOf } from '../../../packages/engine/src/mesh/gossip.ts'
import type { TopologyEffect, TopologyEvent } from '../../../packages/engine/src/mesh/overlay.ts'
import { Topology } from '../../../packages/engine/src/mesh/topology.ts'
import type { GossipEffect, GossipEvent } from '../../../packages/engine/src/mesh/tree.ts'
import { EventHeap } from '../../sim/heap.ts'
import { type Stream, stream } from '../../sim/random.ts'
import type { Row } from '../row.ts'
import { besiegedReplica } from '../swallowing.ts'

const nameOf = (random: Stream): string => Buffer.from(random.bytes(32)).toString('hex')

/** A member, in virtual time. */
class Besieged {
  now = 0
  readonly random: Stream
  readonly own: string
  readonly gossip = new Gossip()
  readonly topology: Topology
  /** When each commit that it heard of came. */
  readonly came = new Map<string, number>()
  /** Links that were named for withholding. */
  readonly named = new Set<string>()
  /** Hears what the member says. */
  onGossip: (effect: Exclude<GossipEffect, { kind: 'wake' | 'withholds' }>) => void = () => undefined
  onTopology: (effect: Exclude<TopologyEffect, { kind: 'wake' }>) => void = () => undefined
  readonly #heap = new EventHeap()
  #sequence = 0
  #gossipTimer = 0
  #topologyTimer = 0

  constructor(random: Stream) {
    this.random = random
    this.own = nameOf(random)
    this.topology = new Topology(this.own)
  }

  after(ms: number, run: () => void): void {
    this.#heap.push({ time: this.now + ms, sequence: this.#sequence++, label: '', run })
  }

  run(until: number, holds: () => boolean = () => false): void {
    for (let event = this.#heap.peek(); event !== undefined && event.time <= until; event = this.#heap.peek()) {
      this.#heap.pop()
      this.now = event.time
      event.run?.()
      if (holds()) return
    }
    this.now = until
  }

  hear(event: GossipEvent): void {
    const around = { now: this.now, random: (below: number) => this.random.int(below) }
    for (const effect of this.gossip.step(event, around)) {
      if (effect.kind === 'wake') {
        const timer = ++this.#gossipTimer
        this.after(effect.after, () => {
          if (timer === this.#gossipTimer) this.hear({ kind: 'wake' })
        })
      } else if (effect.kind === 'withholds') {
        this.named.add(effect.link)
        this.meet({ kind: 'distrusted', session: effect.link })
      } else this.onGossip(effect)
    }
  }

  meet(event: TopologyEvent): void {
    const around = { now: this.now, random: (below: number) => this.random.int(below) }
    for (const effect of this.topology.step(event, around)) {
      if (effect.kind === 'wake') {
        const timer = ++this.#topologyTimer
        this.after(effect.after, () => {
          if (timer === this.#topologyTimer) this.meet({ kind: 'wake' })
        })
        continue
      }
      if (effect.kind === 'drop') this.hear({ kind: 'unlinked', link: effect.session })
      this.onTopology(effect)
    }
  }

  link(session: string, server = false): void {
    this.hear({ kind: 'linked', link: session, server })
    if (!server) this.meet({ kind: 'linked', session })
  }

  /** Somebody sends a commit that it holds. */
  receive(link: string, id: string, author: string): void {
    const fresh = !this.came.has(id)
    if (fresh) this.came.set(id, this.now)
    this.hear({ kind: 'received', link, commits: [{ id, author, fresh }] })
  }
}

/** One way, ms. */
const flight = (random: Stream): number => 5 + random.int(100)
const hostileOf8 = 7
/** Commits, each told of by everybody: enough for whoever withholds to be named. */
const commitsEach = 120
/** Nobody is asked in vain for longer than this, ms; the next one is asked then. */
const askedFor = 500

/** One honest peer of eight, the last to say what it has. Gives the slowest commit, ms, or undefined when one never came. */
const withheld = (random: Stream): { slowest: number | undefined; named: number } => {
  const member = new Besieged(random)
  const hostile = Array.from({ length: hostileOf8 }, () => nameOf(random))
  const honest = nameOf(random)
  const author = nameOf(random)
  for (const session of random.shuffle([...hostile, honest])) member.link(session)
  const made = new Map<string, number>()
  const ids = new Map<string, string>()
  member.onGossip = (effect) => {
    if (effect.kind !== 'graft' || effect.link !== honest) return
    for (const short of effect.ids) {
      const id = ids.get(short)
      if (id !== undefined) member.after(2 * flight(random), () => member.receive(honest, id, author))
    }
  }
  const told = (link: string, id: string): void => member.hear({ kind: 'told', link, ids: [shortOf(id)] })
  for (let number = 0; number < commitsEach; number++) {
    const id = nameOf(random)
    ids.set(shortOf(id), id)
    member.after(number * (100 + random.int(400)), () => {
      // Whoever lies is first, again and again, and some prune as if they had it from elsewhere.
      for (const link of random.shuffle([...hostile])) {
        member.after(random.int(20), () => told(link, id))
        if (random.chance(0.3)) member.after(50 + random.int(200), () => member.hear({ kind: 'pruned', link }))
        if (random.chance(0.3)) member.after(200 + random.int(2_000), () => told(link, id))
      }
      member.after(700 + random.int(1_500), () => {
        made.set(id, member.now)
        told(honest, id)
      })
    })
  }
  member.run(120_000)
  let slowest = 0
  for (const [id, at] of made) {
    const came = member.came.get(id)
    if (came === undefined) return { slowest: undefined, named: member.named.size }
    slowest = Math.max(slowest, came - at)
  }
  return { slowest, named: member.named.has(honest) ? -1 : member.named.size }
}

/**
 * D6: `trials` seeds of a member with one honest peer among eight. A violation is a commit that never came, or came later than it takes to
 * ask everybody in turn; an honest peer that was named; or one that went on withholding and was not.
 */
export const withholding: Row = async ({ trials, seed }) => {
  let [violations, first, slowest, named] = [0, '', 0, 0]
  // Real replicas, one in a hundred.
  for (let trial = 0; trial < trials; trial += 100) {
    const { lacking, named: told } = await besiegedReplica(`${seed} D6 ${trial}`, 'neighbour')
    if (lacking === 0 && told > 0) continue
    violations++
    first ||= `real replicas: ${lacking} commits lacking, ${told} named`
  }
  for (let trial = 0; trial < trials; trial++) {
    const seen = withheld(stream(seed, `D6 ${trial}`))
    const latest = 1_000 + hostileOf8 * askedFor + 2_000
    named += Math.max(0, seen.named)
    slowest = Math.max(slowest, seen.slowest ?? Number.POSITIVE_INFINITY)
    if (seen.slowest !== undefined && seen.slowest <= latest && seen.named === hostileOf8) continue
    violations++
    first ||= `trial ${trial}: ${seen.slowest} ms, ${seen.named} named`
  }
  return { trials, violations, first, slowestMilliseconds: slowest, named }
}

/** Members beside the besieged one: so many are honest. */
const honestMembers = 30
/** Hostile ones ask for a channel again and again, ms. */
const crowding = 250
/** What a commit takes at most, ms. */
const converging = 10_000
const chosenLeast = 2

interface Siege {
  readonly member: Besieged
  readonly isHostile: (session: string) => boolean
  /** Neighbours that the member chose itself and gave up for others. */
  readonly givenUp: string[]
  /** Everybody crowds in from now on. */
  crowd(): void
  /** A commit that the server and these honest neighbours hold; who lies says so first. */
  commit(): string
  serverLeaves(): void
  fresh(): string
}

/** A mesh in which `hostile` members crowd in, lie, introduce each other and send nothing. */
const besiege = (random: Stream, hostile: number): Siege => {
  const member = new Besieged(random)
  const server = nameOf(random)
  const honest = Array.from({ length: honestMembers }, () => nameOf(random))
  const liars = new Set(Array.from({ length: hostile }, () => nameOf(random)))
  const givenUp: string[] = []
  const held = new Map<string, string>()
  const author = nameOf(random)
  // Some say that they know everybody, some that they know nobody: whichever keeps them in.
  const saysMuch = random.chance(0.5)
  let serverUp = true
  const isHostile = (session: string): boolean => liars.has(session)
  const open = (session: string): void => {
    member.link(session)
    if (!member.topology.links.has(session)) return
    const many = random.shuffle(isHostile(session) ? [...liars] : [...honest]).slice(0, limits.meshLinks)
    const sessions = isHostile(session) && !saysMuch ? [] : many
    member.hear({ kind: 'neighbours', link: session, sessions })
    member.meet({ kind: 'neighbours', link: session, sessions })
  }
  const ask = (session: string): void => {
    if (!member.topology.links.has(session)) member.meet({ kind: 'asked', session, lonely: true })
  }
  let chosen = new Set<string>()
  member.onTopology = (effect) => {
    const away = 2 * flight(random)
    switch (effect.kind) {
      case 'dial':
      case 'ask': {
        const { session } = effect
        const luck = isHostile(session) ? 1 : random.unit()
        member.after(away, () => {
          if (luck > 0.15) open(session)
          else if (luck > 0.05) member.meet({ kind: 'busy', session })
          else member.meet({ kind: 'failed', session, why: 'unreachable' })
        })
        break
      }
      case 'accept':
        member.after(away, () => open(effect.session))
        break
      case 'seek':
        member.after(away, () => {
          const all = random.shuffle([...honest, ...liars])
          if (serverUp) member.meet({ kind: 'introduced', sessions: all.slice(0, effect.count), members: all.length })
        })
        break
      case 'drop':
        if (chosen.has(effect.session) && !member.named.has(effect.session)) givenUp.push(effect.session)
        break
      default:
    }
    chosen = new Set([...member.topology.links].flatMap(([session, link]) => (link.chosen ? [session] : [])))
  }
  member.onGossip = (effect) => {
    if (effect.kind !== 'graft' || isHostile(effect.link)) return
    const { link } = effect
    for (const short of effect.ids) {
      const id = held.get(short)
      if (id !== undefined && (link !== server || serverUp))
        member.after(2 * flight(random), () => {
          if (link === server || member.topology.links.has(link)) member.receive(link, id, author)
        })
    }
  }
  member.link(server, true)
  member.meet({ kind: 'server here', session: server })
  return {
    member,
    isHostile,
    givenUp,
    fresh: () => {
      const session = nameOf(random)
      liars.add(session)
      return session
    },
    crowd: () => {
      const again = (): void => {
        for (const session of random.shuffle([...liars]).slice(0, 12)) ask(session)
        member.after(crowding, again)
      }
      again()
    },
    commit: () => {
      const id = nameOf(random)
      const ids = [shortOf(id)]
      held.set(shortOf(id), id)
      for (const link of member.topology.links.keys())
        member.after(isHostile(link) ? random.int(50) : 100 + random.int(200), () =>
          member.hear({ kind: 'told', link, ids }),
        )
      if (serverUp) member.after(100 + random.int(200), () => member.hear({ kind: 'told', link: server, ids }))
      return id
    },
    serverLeaves: () => {
      serverUp = false
      member.hear({ kind: 'unlinked', link: server })
      member.meet({ kind: 'server away' })
    },
  }
}

const linksOf = ({ member, isHostile }: Siege) => {
  const all = [...member.topology.links]
  return {
    honest: all.filter(([session]) => !isHostile(session)),
    hostile: all.filter(([session]) => isHostile(session)),
    chosen: all.filter(([, { chosen }]) => chosen).length,
  }
}

/** What went wrong; nothing where nothing did. */
const eclipse = (random: Stream): string | undefined => {
  const siege = besiege(random, 14 + random.int(40))
  const { member } = siege
  const arrives = (id: string): boolean => {
    member.run(member.now + converging, () => member.came.has(id))
    return member.came.has(id)
  }
  siege.crowd()
  member.run(30_000)
  if (linksOf(siege).chosen < chosenLeast) return `${linksOf(siege).chosen} neighbours of its own choice`
  // Of its neighbours one at most is honest, and the server is there.
  const keepOne = (): void => {
    for (const [session] of linksOf(siege).honest.slice(1)) {
      member.hear({ kind: 'unlinked', link: session })
      member.meet({ kind: 'unlinked', session, reason: 'gone' })
    }
  }
  keepOne()
  for (let count = 0; count < 5; count++) if (!arrives(siege.commit())) return 'a commit that the server has never came'
  if (siege.givenUp.length > 0) return 'a neighbour of its own choice was given up for one that asked'
  if (member.topology.links.size > mostLinks(honestMembers + 60)) return `${member.topology.links.size} neighbours`
  // The server is away, and seven of eight are hostile, under new names.
  if (linksOf(siege).honest.length === 0) return
  siege.serverLeaves()
  keepOne()
  for (let tries = 0; tries < 100 && linksOf(siege).hostile.length < hostileOf8; tries++) {
    member.meet({ kind: 'asked', session: siege.fresh(), lonely: true })
    member.run(member.now + 500)
    keepOne()
  }
  for (let count = 0; count < 5; count++) {
    keepOne()
    if (!arrives(siege.commit())) return 'a commit that the honest neighbour has never came'
  }
  return
}

/**
 * E8: `trials` seeds of a member that hostile ones crowd around from its first moment. A violation is a commit that the server, or with the server
 * away the one honest neighbour of eight, has and that does not come; fewer than two neighbours of the member's own choice; one of them given up.
 */
export const eclipses: Row = async ({ trials, seed }) => {
  let [violations, first] = [0, '']
  for (let trial = 0; trial < trials; trial++) {
    const what = eclipse(stream(seed, `E8 ${trial}`))
    if (what === undefined) continue
    violations++
    first ||= `trial ${trial}: ${what}`
  }
  // Real replicas, one in a hundred: all neighbours are hostile, and the server is there.
  for (let trial = 0; trial < trials; trial += 100) {
    const { lacking } = await besiegedReplica(`${seed} E8 ${trial}`, 'server')
    if (lacking === 0) continue
    violations++
    first ||= `real replicas: ${lacking} commits lacking`
  }
  return { trials, violations, first }
}
