/**
 * How the commits of one repository spread over the links of a replica: `step(event, around)` gives what is to be done. It is Plumtree
 * (Leitao, Pereira and Rodrigues, "Epidemic Broadcast Trees", SRDS 2007): whole commits go along eager links, which come to form a tree, and
 * only their ids along the others, which are lazy. What holds:
 *
 * 1. What is made here is pushed over every link at once, eager or lazy.
 * 2. What came is pushed on over eager links, and told by id over lazy ones, gathered for a while. A commit that comes over a lazy link straight from its
 *    author is a gift beside the tree: it is told by id at once, and pushed on when the tree brings it, too, so that what flows in the
 *    tree has one source.
 * 3. An eager link that is known as the author's neighbour has the commit already and is told the id instead, at once. So is the server, which
 *    authors push to. For a receiver that holds the gift this stands for the commit.
 * 4. A link that brings what the tree brought before is pruned: both ends make it lazy. A copy straight from the author says nothing about the
 *    tree and prunes nothing; of two links the server's goes, which has the most to send.
 * 5. What is told of and does not come is asked for after a while (a graft, which makes that link eager again), and when it does not come then,
 *    of the next one that told. Whoever does not send what it has is asked last, and named when it goes on.
 * 6. What one link says is bounded by `limits.gossip...`, and each commit is given to a link at most once for its asking.
 *
 * Short ids are what links are told of: two commits whose ids begin alike are one here, and cost a graft that brings the other one.
 * Whatever gossip misses, reconciliation brings.
 */
import { limits } from '../bytes/limits.ts'
import type { Surroundings } from './around.ts'
import type { Arrival, GossipEffect, GossipEvent } from './tree.ts'

interface Link {
  readonly session: string
  readonly server: boolean
  eager: boolean
  neighbours: readonly string[]
  /** Short ids to be told of together. */
  toTell: string[]
  /** Wants that it told of first. */
  wanted: number
  /** Grafts in a row that brought nothing; and when one brought something last. */
  withheld: number
  gaveAt: number
  /** Given for its asking. */
  given: Set<string> | undefined
}

interface Passed {
  readonly id: string
  readonly author: string
  /** The link that brought it first in the tree; undefined for what was made here or came by reconciliation. */
  from: string | undefined
  /** Came in the tree, or was made here: it has been pushed on. */
  inTree: boolean
  /** The first copy came straight from its author. */
  readonly straight: boolean
  /** False for what was only heard of as held already. */
  readonly fresh: boolean
  /** A gift went on to these at once: they have nobody else. */
  leaves?: readonly string[]
}

interface Want {
  /** Whose count it is on. */
  readonly first: string
  /** Links that told of it, the first of them first. */
  readonly tellers: string[]
  /** The one that was asked, and when. */
  asked: string | undefined
  askedAt: number
  due: number
}

/** Short ids are gathered for so long, ms. */
const tellAfter = 75
/** What was told of and did not come is asked for after so many ms; later where only the server told, so that the tree goes first. */
const graftAfter = 300
const graftServerAfter = 1_200
/** What was asked for is asked for elsewhere when nothing came for so long, and at the latest after so long though other things came, ms. */
const graftAgainAfter = 500
const graftAgainLatest = 5_000
/** A gift that the tree does not bring within so many ms is pushed on all the same. */
const giftAfter = 500
/** Links that are eager from their beginning, and a server's; others are lazy until they are needed, or the first commits would come over all of them. */
const firstLinks = 4
const hubLinks = 6
/** It makes more of them eager when fewer lead into the mesh. */
const hubLeast = 3
/** Links remembered as having told of one want. */
const tellersOfWant = 16
const shortLength = 16
const never = Number.POSITIVE_INFINITY

export const shortOf = (id: string): string => id.slice(0, shortLength)

export class Gossip {
  readonly #hub: boolean
  readonly #links = new Map<string, Link>()
  readonly #recent = new Map<string, Passed>()
  readonly #wants = new Map<string, Want>()
  /** Gifts that the tree has not brought yet, and when they are pushed on without it. */
  readonly #gifts = new Map<string, number>()
  #tellAt = never
  /** No want is due before. */
  #wantDue = never
  #timer = never
  #effects: GossipEffect[] = []

  /** `hub`: of the server, which has a link with everybody. */
  constructor(hub = false) {
    this.#hub = hub
  }

  get links(): ReadonlyMap<string, { readonly eager: boolean }> {
    return this.#links
  }

  step(event: GossipEvent, around: Surroundings): readonly GossipEffect[] {
    this.#effects = []
    this.#take(event, around)
    this.#setTimer(around.now)
    return this.#effects
  }

  #take(event: GossipEvent, around: Surroundings): void {
    const { now } = around
    switch (event.kind) {
      case 'linked':
        this.#linked(event.link, event.server)
        return
      case 'unlinked':
        this.#unlinked(event.link, now)
        return
      case 'made':
        this.#made(event.ids)
        return
      case 'brought':
        this.#brought(event.commits, around)
        return
      case 'known':
        for (const id of event.ids) this.#known(id, event.link, now)
        return
      case 'wake':
        this.#wake(around)
        return
    }
    const link = this.#links.get(event.link)
    if (link === undefined) return
    switch (event.kind) {
      case 'neighbours':
        link.neighbours = event.sessions.slice(0, limits.meshLinks)
        break
      case 'received':
        this.#received(link, event.commits, around)
        break
      case 'told':
        this.#told(link, event.ids.slice(0, limits.gossipTold), around)
        break
      case 'pruned':
        link.eager = false
        break
      case 'grafted':
        this.#grafted(link, event.ids.slice(0, limits.gossipTold))
    }
  }

  #linked(session: string, server: boolean): void {
    let eager = 0
    for (const link of this.#links.values()) if (link.eager && !link.server && link.session !== session) eager++
    this.#links.set(session, {
      session,
      server,
      eager: server || eager < (this.#hub ? hubLinks : firstLinks),
      neighbours: [],
      toTell: [],
      wanted: 0,
      withheld: 0,
      gaveAt: 0,
      given: undefined,
    })
    if (this.#links.get(session)?.eager === false) this.#effects.push({ kind: 'prune', link: session })
  }

  #unlinked(session: string, now: number): void {
    if (!this.#links.delete(session)) return
    for (const [short, want] of this.#wants) {
      const at = want.tellers.indexOf(session)
      if (at >= 0) want.tellers.splice(at, 1)
      if (want.asked === session) {
        want.asked = undefined
        want.due = now
        this.#wantDue = now
      }
      if (want.tellers.length === 0) this.#forget(short, want)
    }
  }

  #made(ids: readonly string[]): void {
    for (const id of ids) this.#remember({ id, author: '', from: undefined, inTree: true, straight: true, fresh: true })
    if (ids.length === 0) return
    for (const link of this.#links.keys()) this.#effects.push({ kind: 'push', link, ids })
  }

  #brought(commits: readonly Omit<Arrival, 'fresh'>[], { now, random }: Surroundings): void {
    const onward: Onward = { pushes: new Map(), tells: new Map(), random }
    for (const { id, author } of commits) {
      const short = shortOf(id)
      if (this.#recent.get(short)?.id === id) continue
      const tellers = this.#fulfil(short, undefined, now)
      const passed: Passed = { id, author, from: undefined, inTree: true, straight: false, fresh: true }
      this.#remember(passed)
      this.#pushOn(passed, short, tellers, onward)
      this.#tellAround(passed, short, tellers, now)
    }
    this.#flush(onward)
  }

  #known(id: string, from: string | undefined, now: number): void {
    const short = shortOf(id)
    if (this.#recent.get(short)?.id === id) return
    const tellers = this.#fulfil(short, undefined, now)
    this.#remember({ id, author: '', from: undefined, inTree: true, straight: false, fresh: true })
    for (const link of this.#links.values()) {
      if (link.session !== from && !tellers.includes(link.session)) this.#tellLater(link, short, now)
    }
  }

  #received(link: Link, commits: readonly Arrival[], around: Surroundings): void {
    const { now } = around
    const onward: Onward = { pushes: new Map(), tells: new Map(), random: around.random }
    let came = false
    let twice = false
    let serverSecond = false
    for (const { id, author, fresh } of commits) {
      const short = shortOf(id)
      const passed = this.#recent.get(short)
      const straight = author === link.session
      if (passed?.id !== id || (fresh && !passed.fresh)) {
        const tellers = this.#fulfil(short, link, now)
        if (!fresh) {
          this.#remember({ id, author, from: undefined, inTree: true, straight, fresh })
          continue
        }
        const inTree = !straight || link.eager || this.#isLeaf(link)
        // It takes this link for an eager one.
        if (!straight) link.eager = true
        const next: Passed = { id, author, from: link.session, inTree, straight, fresh }
        this.#remember(next)
        came = true
        if (inTree) this.#pushOn(next, short, tellers, onward)
        else this.#keepGift(next, short, now, onward)
        this.#tellAround(next, short, tellers, now)
        continue
      }
      withdraw(link, short)
      if (passed.from === link.session) continue
      if (!passed.inTree) {
        if (straight && !link.eager) continue
        came = true
        this.#inTree(passed, short, link, onward)
      } else if (!straight && !passed.straight && passed.from !== undefined) {
        const first = this.#links.get(passed.from)
        if (first?.server === true && first.eager) {
          // The server is spared; this link takes its place.
          passed.from = link.session
          this.#prune(first)
          serverSecond = true
        } else twice = true
      }
    }
    this.#flush(onward)
    if (twice && !came && !serverSecond) this.#prune(link)
  }

  #prune(link: Link): void {
    link.eager = false
    this.#effects.push({ kind: 'prune', link: link.session })
  }

  #keepGift(passed: Passed, short: string, now: number, onward: Onward): void {
    this.#gifts.set(short, now + giftAfter)
    const leaves: string[] = []
    for (const link of this.#links.values()) {
      if (!link.eager || link.session === passed.from || !this.#isLeaf(link)) continue
      leaves.push(link.session)
      add(onward.pushes, link.session, passed.id)
    }
    if (leaves.length > 0) passed.leaves = leaves
  }

  /** It has no neighbour but this replica; the server is nobody's neighbour. */
  #isLeaf({ server, neighbours }: Link): boolean {
    return !server && neighbours.length <= (this.#hub ? 0 : 1)
  }

  /** The tree brings what was a gift before. */
  #inTree(passed: Passed, short: string, link: Link | undefined, onward: Onward): void {
    passed.inTree = true
    passed.from = link?.session ?? passed.from
    this.#gifts.delete(short)
    this.#pushOn(passed, short, passed.leaves ?? [], onward)
  }

  #pushOn(passed: Passed, short: string, tellers: readonly string[], onward: Onward): void {
    const { id, author, from } = passed
    if (this.#hub) this.#plant(passed, onward)
    const fromServer = this.#links.get(author)?.server === true
    for (const link of this.#links.values()) {
      const { session } = link
      if (!link.eager || session === from || session === author || tellers.includes(session)) continue
      // What the server makes it pushes to all.
      if (link.server || fromServer || link.neighbours.includes(author)) add(onward.tells, session, short)
      else add(onward.pushes, session, id)
    }
  }

  /** A server whose links all went lazy makes some eager again, or what comes from those that have nobody else would be asked for by all the others at once. */
  #plant({ author, from }: Passed, { random }: Onward): void {
    const lazy: Link[] = []
    let eager = 0
    for (const link of this.#links.values()) {
      if (link.session === from || this.#isLeaf(link)) continue
      if (link.eager) eager++
      else if (!link.neighbours.includes(author)) lazy.push(link)
    }
    for (; eager < hubLeast && lazy.length > 0; eager++) {
      const [link] = lazy.splice(random(lazy.length), 1)
      if (link !== undefined) link.eager = true
    }
  }

  #tellAround({ author, from }: Passed, short: string, tellers: readonly string[], now: number): void {
    for (const link of this.#links.values()) {
      const { session } = link
      if (link.eager || session === from || session === author || tellers.includes(session)) continue
      this.#tellLater(link, short, now)
    }
  }

  #tellLater(link: Link, short: string, now: number): void {
    if (link.toTell.length >= limits.gossipTold) this.#tellNow(link)
    link.toTell.push(short)
    this.#tellAt = Math.min(this.#tellAt, now + tellAfter)
  }

  #tellNow(link: Link): void {
    if (link.toTell.length === 0) return
    this.#effects.push({ kind: 'have', link: link.session, ids: link.toTell })
    link.toTell = []
  }

  #flush({ pushes, tells }: Onward): void {
    for (const [link, ids] of pushes) this.#effects.push({ kind: 'push', link, ids })
    for (const [link, ids] of tells) this.#effects.push({ kind: 'have', link, ids })
  }

  #told(link: Link, ids: readonly string[], around: Surroundings): void {
    const { now } = around
    const onward: Onward = { pushes: new Map(), tells: new Map(), random: around.random }
    for (const short of ids) {
      const passed = this.#recent.get(short)
      if (passed !== undefined) {
        withdraw(link, short)
        if (!passed.inTree && link.eager) this.#inTree(passed, short, link, onward)
      } else this.#want(link, short, now)
    }
    this.#flush(onward)
  }

  #want(link: Link, short: string, now: number): void {
    let want = this.#wants.get(short)
    if (link.withheld >= limits.gossipWithheld) return
    if (want === undefined) {
      if (this.#wants.size >= limits.gossipWanted || link.wanted >= limits.gossipWantedOfLink) return
      want = { first: link.session, tellers: [], asked: undefined, askedAt: 0, due: never }
      this.#wants.set(short, want)
      link.wanted++
    }
    if (want.tellers.includes(link.session) || want.tellers.length >= tellersOfWant) return
    want.tellers.push(link.session)
    const waits = link.server && this.#links.size > 1 ? graftServerAfter : graftAfter
    if (want.asked === undefined) want.due = Math.min(want.due, now + waits)
    this.#wantDue = Math.min(this.#wantDue, want.due)
  }

  /** It came. Gives those that are known to have it. */
  #fulfil(short: string, by: Link | undefined, now: number): readonly string[] {
    const want = this.#wants.get(short)
    if (want === undefined) return []
    this.#forget(short, want)
    if (by !== undefined && want.asked === by.session) {
      by.withheld = 0
      by.gaveAt = now
    }
    return want.tellers
  }

  #forget(short: string, want: Want): void {
    this.#wants.delete(short)
    const first = this.#links.get(want.first)
    if (first !== undefined && first.wanted > 0) first.wanted--
  }

  #grafted(link: Link, shorts: readonly string[]): void {
    link.eager = true
    link.given ??= new Set()
    const ids: string[] = []
    for (const short of shorts) {
      const passed = this.#recent.get(short)
      if (passed === undefined || link.given.has(short)) continue
      link.given.add(short)
      withdraw(link, short)
      ids.push(passed.id)
    }
    for (const oldest of link.given) {
      if (link.given.size <= limits.gossipRecent) break
      link.given.delete(oldest)
    }
    if (ids.length > 0) this.#effects.push({ kind: 'push', link: link.session, ids })
  }

  #wake(around: Surroundings): void {
    const { now } = around
    if (this.#timer <= now) this.#timer = never
    if (this.#tellAt <= now) {
      this.#tellAt = never
      for (const link of this.#links.values()) this.#tellNow(link)
    }
    const onward: Onward = { pushes: new Map(), tells: new Map(), random: around.random }
    for (const [short, due] of this.#gifts) {
      if (due > now) break
      const passed = this.#recent.get(short)
      this.#gifts.delete(short)
      if (passed !== undefined && !passed.inTree) this.#inTree(passed, short, undefined, onward)
    }
    this.#flush(onward)
    this.#graft(now)
  }

  #graft(now: number): void {
    if (this.#wantDue > now) return
    this.#wantDue = never
    const grafts = new Map<string, string[]>()
    const blamed = new Set<string>()
    for (const [short, want] of this.#wants) {
      const asked = this.#links.get(want.asked ?? '')
      if (want.due <= now && asked !== undefined) {
        // It is sending: the rest may be on its way.
        const waits = Math.min(asked.gaveAt + graftAgainAfter, want.askedAt + graftAgainLatest)
        if (waits > now) want.due = waits
        else {
          want.tellers.splice(want.tellers.indexOf(asked.session), 1)
          blamed.add(asked.session)
        }
      }
      if (want.due <= now) {
        const teller = this.#bestTeller(want)
        if (teller === undefined) {
          this.#forget(short, want)
          continue
        }
        want.asked = teller.session
        want.askedAt = now
        want.due = now + graftAgainAfter
        add(grafts, teller.session, short)
      }
      this.#wantDue = Math.min(this.#wantDue, want.due)
    }
    for (const session of blamed) this.#blame(session)
    for (const [session, ids] of grafts) {
      const link = this.#links.get(session)
      if (link !== undefined) link.eager = true
      for (let from = 0; from < ids.length; from += limits.gossipTold) {
        this.#effects.push({ kind: 'graft', link: session, ids: ids.slice(from, from + limits.gossipTold) })
      }
    }
  }

  /** It was asked, and sent nothing. */
  #blame(session: string): void {
    const link = this.#links.get(session)
    if (link === undefined) return
    link.withheld++
    if (link.withheld === limits.gossipWithheld) this.#effects.push({ kind: 'withholds', link: session })
  }

  /** Of those that told, one that sends what it has; others before the server; else the one that told first. */
  #bestTeller({ tellers }: Want): Link | undefined {
    let best: Link | undefined
    for (const session of tellers) {
      const link = this.#links.get(session)
      if (link === undefined || link.withheld >= limits.gossipWithheld) continue
      if (best === undefined || rank(link) < rank(best)) best = link
    }
    return best
  }

  #remember(passed: Passed): void {
    this.#recent.set(shortOf(passed.id), passed)
    if (this.#recent.size <= limits.gossipRecent) return
    for (const oldest of this.#recent.keys()) {
      this.#recent.delete(oldest)
      this.#gifts.delete(oldest)
      return
    }
  }

  #setTimer(now: number): void {
    let due = Math.min(this.#tellAt, this.#wants.size > 0 ? this.#wantDue : never)
    for (const gift of this.#gifts.values()) {
      due = Math.min(due, gift)
      break
    }
    if (due === never || due >= this.#timer) return
    this.#timer = Math.max(due, now + 1)
    this.#effects.push({ kind: 'wake', after: this.#timer - now })
  }
}

/** What goes on at the end of a step, by link. */
interface Onward {
  readonly pushes: Map<string, string[]>
  readonly tells: Map<string, string[]>
  readonly random: Surroundings['random']
}

const add = (lists: Map<string, string[]>, link: string, id: string): void => {
  const list = lists.get(link)
  if (list === undefined) lists.set(link, [id])
  else list.push(id)
}

/** It has this one: it need not be told. */
const withdraw = (link: Link, short: string): void => {
  const at = link.toTell.indexOf(short)
  if (at >= 0) link.toTell.splice(at, 1)
}

const rank = ({ withheld, server }: Link): number => 2 * withheld + (server ? 1 : 0)
