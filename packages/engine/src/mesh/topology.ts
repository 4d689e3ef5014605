/**
 * Whom a replica is linked with: `step(event, around)` gives what is to be done. What holds:
 *
 * 1. Links and attempts under way never pass `mostLinks`. Below `wantedLinks` (`degree.ts`) it looks for more.
 * 2. Who is here comes from the server, at random; with the server away, from the neighbours of neighbours, whose common neighbour relays the
 *    signals. So a link that died is replaced while one other lives.
 * 3. At least two links are chosen by ourselves out of those introduced, and are never given up for somebody who asks: whoever surrounds
 *    us with links of its own does not have them all (an eclipse).
 * 4. Whoever is full declines, but for an asker that has no link at all: then a neighbour goes that is well connected, as it told itself.
 * 5. Of two that wish a link with each other, the smaller session id offers. A wish that meets the other's is the same attempt.
 * 6. A member with which an attempt failed is left alone, longer each time; and whoever reaches nobody at all tries ever more seldom.
 * 7. A join or a leave costs those concerned a number of messages of the order of their links, and nobody else any.
 */
import { limits } from '../bytes/limits.ts'
import type { Surroundings } from './around.ts'
import { few, mostLinks, wantedLinks } from './degree.ts'
import type { TopologyEffect, TopologyEvent } from './overlay.ts'
import { Shunned } from './shunned.ts'

interface Link {
  neighbours: readonly string[]
  /** Chosen by us out of those introduced. */
  readonly chosen: boolean
}

interface Attempt {
  /** Wished by us; or accepted. */
  readonly wished: boolean
  readonly chosen: boolean
  readonly until: number
}

const chosenLeast = 2
/** Wishes under way at once. */
const wishesAtOnce = 4
/** An attempt that nothing was heard of for so long has failed, ms. */
const attemptPatience = 30_000
/** Changes are told together after so many ms. */
const tellAfter = 100
/** Ms until the server is asked again; doubles while nothing changes. It is asked with enough links, too, to hear how many are here. */
const seekPause = 1_000
const longestSeekPause = 60_000
/** A server that does not introduce anybody for so long is not waited for, ms. */
const seekPatience = 3_000
/** With the server away: ms between two looks around the neighbours of neighbours that found nobody. */
const lookPause = 500
/** Attempts in a row that reached nobody, before tries without any link become seldom; ms of the first pause, and of the longest. */
const failuresFree = 4
const quietPause = 5_000
const longestQuiet = 300_000
/** More links than wanted by so many are given up one by one, so that there is room for newcomers; ms between two. */
const spareLinks = 2
const trimPause = 10_000
/** Nobody is given up more often for those who say that they have no link, ms. */
const displacePause = 1_000
const never = Number.POSITIVE_INFINITY

export class Topology {
  readonly #own: string
  #server: string | undefined
  /** Others that are here, as far as is known. */
  #members = few
  readonly #links = new Map<string, Link>()
  readonly #attempts = new Map<string, Attempt>()
  readonly #shunned = new Shunned()
  /** Introduced and not tried yet. */
  #introduced: string[] = []
  /** When the server was asked, until it answers. */
  #soughtAt: number | undefined
  #seekAt = 0
  #seekPause = seekPause
  #lookAt = 0
  /** Attempts of ours in a row that reached nobody. */
  #failures = 0
  #quietUntil = 0
  #displaceAt = 0
  #tellAt = never
  #trimAt = never
  #timer = never
  #effects: TopologyEffect[] = []

  /** `own`: our session. */
  constructor(own: string) {
    this.#own = own
  }

  get links(): ReadonlyMap<string, { readonly neighbours: readonly string[]; readonly chosen: boolean }> {
    return this.#links
  }

  get attempts(): number {
    return this.#attempts.size
  }

  step(event: TopologyEvent, around: Surroundings): readonly TopologyEffect[] {
    this.#effects = []
    this.#take(event, around)
    this.#expire(around)
    this.#goOn(around)
    this.#trim(around)
    this.#tell(around.now)
    this.#setTimer(around.now)
    return this.#effects
  }

  #take(event: TopologyEvent, around: Surroundings): void {
    switch (event.kind) {
      case 'server here':
        this.#server = event.session
        this.#seekAt = around.now
        this.#seekPause = seekPause
        this.#soughtAt = undefined
        this.#changed(around.now)
        break
      case 'server away':
        this.#server = undefined
        this.#introduced = []
        this.#count()
        this.#changed(around.now)
        break
      case 'introduced':
        this.#members = Math.max(event.members, this.#links.size)
        this.#introduced = event.sessions.slice(0, limits.meshIntroduced)
        this.#soughtAt = undefined
        break
      case 'neighbours': {
        const link = this.#links.get(event.link)
        if (link !== undefined) link.neighbours = event.sessions.slice(0, limits.meshLinks)
        if (this.#server === undefined) this.#count()
        break
      }
      case 'asked':
        this.#asked(event.session, event.lonely, around)
        break
      case 'linked':
        this.#linked(event.session, around)
        break
      case 'unlinked':
        if (this.#links.delete(event.session)) this.#lost(event.session, event.reason, around)
        break
      case 'busy':
        if (this.#attempts.delete(event.session)) this.#shunned.add(event.session, 'busy', around)
        break
      case 'failed':
        this.#failed(event.session, event.why, around)
        break
      case 'distrusted':
        this.#distrusted(event.session, around)
        break
      case 'wake':
        if (this.#timer <= around.now) this.#timer = never
    }
  }

  /** With the server away there are at least as many as the links and their neighbours. */
  #count(): void {
    const known = new Set(this.#links.keys())
    for (const { neighbours } of this.#links.values()) for (const session of neighbours) known.add(session)
    known.delete(this.#own)
    this.#members = Math.max(this.#members, known.size)
  }

  #linked(session: string, around: Surroundings): void {
    const attempt = this.#attempts.get(session)
    this.#attempts.delete(session)
    if (this.#links.has(session)) return
    if (session === this.#own || this.#links.size + this.#attempts.size >= mostLinks(this.#members)) {
      this.#effects.push({ kind: 'drop', session })
      return
    }
    this.#links.set(session, { neighbours: [], chosen: attempt?.chosen === true })
    this.#shunned.forgive(session)
    this.#failures = 0
    this.#quietUntil = 0
    this.#seekPause = seekPause
    this.#changed(around.now)
  }

  #lost(session: string, why: 'dropped' | 'gone', around: Surroundings): void {
    this.#shunned.add(session, why, around)
    this.#seekPause = seekPause
    this.#seekAt = Math.min(this.#seekAt, around.now + around.random(seekPause))
    this.#lookAt = 0
    this.#changed(around.now)
  }

  #failed(session: string, why: 'unanswered' | 'unreachable', around: Surroundings): void {
    const attempt = this.#attempts.get(session)
    if (attempt === undefined) return
    this.#attempts.delete(session)
    this.#shunned.add(session, why, around)
    if (!attempt.wished || this.#links.size > 0) return
    this.#failures++
    if (this.#failures <= failuresFree) return
    const longest = Math.min(longestQuiet, quietPause * 2 ** Math.min(this.#failures - failuresFree - 1, 20))
    this.#quietUntil = around.now + longest / 2 + around.random(longest / 2)
  }

  #distrusted(session: string, around: Surroundings): void {
    this.#shunned.add(session, 'distrusted', around)
    this.#attempts.delete(session)
    if (this.#links.has(session)) this.#drop(session, around)
  }

  #drop(session: string, around: Surroundings): void {
    this.#links.delete(session)
    this.#effects.push({ kind: 'drop', session })
    this.#shunned.add(session, 'dropped', around)
    this.#changed(around.now)
  }

  #asked(session: string, lonely: boolean, around: Surroundings): void {
    const attempt = this.#attempts.get(session)
    if (attempt?.wished === true) {
      // The smaller one's offer is under way already; the larger one asked for the offer that it is now made.
      if (this.#own > session) this.#effects.push({ kind: 'accept', session })
      return
    }
    const refused =
      session === this.#own ||
      session === this.#server ||
      this.#links.has(session) ||
      this.#shunned.distrusts(session, around.now)
    const fits = attempt !== undefined || this.#hasRoom()
    if (refused || !(fits || (lonely && this.#displace(around)))) {
      this.#effects.push({ kind: 'decline', session })
      return
    }
    this.#attempts.set(session, { wished: false, chosen: false, until: around.now + attemptPatience })
    this.#effects.push({ kind: 'accept', session })
  }

  #hasRoom(): boolean {
    return this.#links.size + this.#attempts.size < mostLinks(this.#members)
  }

  #displace(around: Surroundings): boolean {
    if (around.now < this.#displaceAt) return false
    this.#displaceAt = around.now + displacePause
    return this.#makeRoom(around)
  }

  /** Gives up the best connected of those that came to us, if it has at least so many neighbours and would hardly miss us. */
  #makeRoom(around: Surroundings, least = few / 2): boolean {
    const session = this.#bestConnected(least)
    if (session === undefined) return false
    this.#drop(session, around)
    return this.#hasRoom()
  }

  /** Of the links that are not our choice, the one with the most neighbours, if it has at least so many. */
  #bestConnected(least: number): string | undefined {
    let best: string | undefined
    let most = least - 1
    for (const [session, { neighbours, chosen }] of this.#links) {
      if (chosen || neighbours.length <= most) continue
      best = session
      most = neighbours.length
    }
    return best
  }

  #expire(around: Surroundings): void {
    for (const [session, { until }] of this.#attempts) {
      if (until <= around.now) this.#failed(session, 'unanswered', around)
    }
  }

  /** Looks for links while there are too few, or too few of our own choice. */
  #goOn(around: Surroundings): void {
    const { now } = around
    if (now < this.#quietUntil) return
    let count = this.#wishes()
    while (count > 0 && this.#server !== undefined) {
      const session = this.#nextIntroduced(around)
      if (session === undefined) break
      // For a link of our own choice anybody goes: whoever crowds around us says that it has no other neighbours.
      if (!this.#hasRoom() && !this.#makeRoom(around, 0)) return
      this.#wish(session, this.#server, true, now)
      count--
    }
    if (this.#server !== undefined) this.#seek(Math.max(0, count), around)
    if (count > 0 && this.#missing() > 0 && this.#looksAround(now)) this.#look(count, around)
  }

  /** How many more to wish for now. */
  #wishes(): number {
    let wished = 0
    let chosen = 0
    for (const link of this.#links.values()) if (link.chosen) chosen++
    for (const attempt of this.#attempts.values()) {
      if (attempt.wished) wished++
      if (attempt.chosen) chosen++
    }
    const unchosen = this.#server === undefined || this.#members <= few ? 0 : chosenLeast - chosen
    return Math.min(Math.max(this.#missing(), unchosen), wishesAtOnce - wished)
  }

  /** Without a server, or with one that does not answer. */
  #looksAround(now: number): boolean {
    return this.#server === undefined || (this.#soughtAt !== undefined && this.#soughtAt + seekPatience <= now)
  }

  #missing(): number {
    return wantedLinks(this.#members) - this.#links.size - this.#attempts.size
  }

  #nextIntroduced({ now, random }: Surroundings): string | undefined {
    while (this.#introduced.length > 0) {
      const [session] = this.#introduced.splice(random(this.#introduced.length), 1)
      if (session !== undefined && this.#isCandidate(session, now)) return session
    }
    return undefined
  }

  #isCandidate(session: string, now: number): boolean {
    return (
      session !== this.#own &&
      session !== this.#server &&
      !this.#links.has(session) &&
      !this.#attempts.has(session) &&
      !this.#shunned.has(session, now)
    )
  }

  #seek(count: number, { now, random }: Surroundings): void {
    if (now < this.#seekAt) return
    this.#seekAt = now + this.#seekPause / 2 + random(this.#seekPause)
    this.#seekPause = Math.min(longestSeekPause, this.#seekPause * 2)
    this.#soughtAt ??= now
    // Some of them will be full, linked or gone.
    this.#effects.push({ kind: 'seek', count: Math.min(limits.meshIntroduced, count * 2 + chosenLeast) })
  }

  /** Tries neighbours of neighbours: a neighbour at random, and one of its own at random. */
  #look(count: number, around: Surroundings): void {
    const { now, random } = around
    if (now < this.#lookAt || this.#links.size === 0) return
    const links = [...this.#links]
    let found = false
    for (let tries = 3 * links.length; tries > 0 && count > 0; tries--) {
      const [via, { neighbours }] = links[random(links.length)] ?? ['', { neighbours: [] }]
      const session = neighbours.length === 0 ? undefined : neighbours[random(neighbours.length)]
      if (session === undefined || !this.#isCandidate(session, now)) continue
      this.#wish(session, via, false, now)
      found = true
      count--
    }
    this.#lookAt = found ? now : now + lookPause / 2 + random(lookPause)
  }

  #wish(session: string, via: string, chosen: boolean, now: number): void {
    const lonely = this.#links.size === 0
    this.#attempts.set(session, { wished: true, chosen, until: now + attemptPatience })
    this.#effects.push({ kind: this.#own < session ? 'dial' : 'ask', session, via, lonely })
  }

  #trim(around: Surroundings): void {
    const spare = this.#links.size - wantedLinks(this.#members) > spareLinks
    if (!spare || this.#server === undefined || this.#members <= few) {
      this.#trimAt = never
    } else if (this.#trimAt === never) {
      this.#trimAt = around.now + trimPause / 2 + around.random(trimPause)
    } else if (this.#trimAt <= around.now) {
      this.#trimAt = never
      const session = this.#bestConnected(wantedLinks(this.#members) + spareLinks)
      if (session !== undefined) this.#drop(session, around)
    }
  }

  #changed(now: number): void {
    this.#tellAt = Math.min(this.#tellAt, now + tellAfter)
  }

  #tell(now: number): void {
    if (now < this.#tellAt) return
    this.#tellAt = never
    this.#effects.push({ kind: 'tell', sessions: [...this.#links.keys()] })
  }

  #setTimer(now: number): void {
    let due = Math.min(this.#tellAt, this.#trimAt)
    for (const { until } of this.#attempts.values()) due = Math.min(due, until)
    if (this.#quietUntil > now) due = Math.min(due, this.#quietUntil)
    else {
      if (this.#server !== undefined) due = Math.min(due, this.#seekAt)
      if (this.#wishes() > 0) {
        if (this.#soughtAt !== undefined && this.#soughtAt + seekPatience > now) {
          due = Math.min(due, this.#soughtAt + seekPatience)
        } else if (this.#missing() > 0 && this.#links.size > 0 && this.#looksAround(now))
          due = Math.min(due, this.#lookAt)
      }
    }
    if (due === never || due >= this.#timer) return
    this.#timer = Math.max(due, now + 1)
    this.#effects.push({ kind: 'wake', after: this.#timer - now })
  }
}
