/**
 * Plays a seed with traitors: people with roles, some of whom hold valid keys and keep to no rule, an authority that gives and takes roles,
 * ends access, changes rules and keys, and is away at times. What must hold in the end, when the traitors are silent and all is healed:
 *
 *    9  all honest replicas that may read hold the same commits and entries and count the same changes, which are those of the oracle
 *       (`fates.ts`), and show the same values, which are the oracle's too
 *   10  what the authority acknowledged to an honest author counts; of what will not count its author was told, and of nothing else
 *   12  who holds two branches of a chain has reported the fork
 *
 * and after every few events: nothing is shown that no state of the logs would allow, and nobody is sent commits or entries of a
 * repository by a replica that knows that they may not read it.
 */

import {
  type Commit,
  type Database,
  isRefusal,
  keyOf,
  type LiveItem,
  liveOf,
  StorageError,
  saved,
  WeftError,
} from '@weft-db/engine'
import { decode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import type { Entry } from '../../../packages/engine/src/trust/entry.ts'
import { readEntry } from '../../../packages/engine/src/trust/entry.ts'
import { commitsOf, valueIn } from '../agreement.ts'
import { byzantineSights, Coverage } from '../coverage.ts'
import { type Fates, fatesOf } from '../fates.ts'
import { PeerNetwork } from '../peer-network.ts'
import { Stream } from '../random.ts'
import { sha256 } from '../shelf.ts'
import { Stage } from '../stage.ts'
import { Failure, type WorldOptions } from '../world.ts'
import { boardPath, Card } from './card.ts'
import { ballotOf } from './charter.ts'
import { Citizen } from './citizen.ts'
import type { Act, Intrigue } from './intrigue.ts'
import type { Played } from './play.ts'
import type { Script } from './script.ts'
import { stolenPoints, Traitor } from './traitor.ts'

const calmLimit = 180_000
const syncFrame = 7
const carries = [1, 5, 12]
/** Longer than any clock is ahead, ms. */
const aWhile = 4 * 3_600_000

interface Promised {
  readonly database: Database
  readonly live: LiveItem
  ids: readonly string[] | undefined
}

class Assembly {
  readonly stage: Stage
  readonly coverage: Coverage
  readonly citizens = new Map<string, Citizen>()
  readonly traitors = new Map<string, Traitor>()
  readonly #intrigue: Intrigue
  /** Commits of honest authors that the authority acknowledged. */
  readonly acknowledged = new Set<string>()
  readonly #seed: string
  broken: string | undefined

  constructor(stage: Stage, intrigue: Intrigue, seed: string, coverage: Coverage, mesh: boolean) {
    this.stage = stage
    this.#intrigue = intrigue
    this.#seed = seed
    this.coverage = coverage
    const peers = mesh ? new PeerNetwork(stage.network) : undefined
    const people = [{ name: 'server', owner: 'server', isTraitor: false }, ...intrigue.people]
    for (const person of people) {
      const neighbours = intrigue.direct.flatMap(([accepts, dials]) => {
        if (person.name === accepts) return [{ name: dials, dials: false }]
        return person.name === dials ? [{ name: accepts, dials: true }] : []
      })
      const citizen = new Citizen(stage.device(person.name), stage.network, peers, person, neighbours, {
        incident: (one, { code, about }) => {
          if (code === 'ChainForked' || code === 'LogForked') coverage.saw('a fork reported')
          if (code === 'ChainForked') this.#forksSeen(one).add(about)
          if (code === 'Fault' || code === 'LogForked') this.broken ??= `${one.name} reports ${code} ${about}`
        },
        rejected: (_one, { commit }) =>
          coverage.saw(commit === undefined ? 'edit denied to its own author' : 'own work rejected'),
        failed: (_one, error) => {
          const { code } = error instanceof WeftError ? error : { code: '' }
          if (!(error instanceof StorageError) && code !== 'DiskError' && code !== 'DiskFull') throw error
        },
      })
      this.citizens.set(person.name, citizen)
      if (person.isTraitor) this.traitors.set(person.name, new Traitor(citizen, coverage))
    }
  }

  readonly #forks = new Map<string, Set<string>>()

  #forksSeen({ name }: Citizen): Set<string> {
    const known = this.#forks.get(name) ?? new Set<string>()
    this.#forks.set(name, known)
    return known
  }

  forksSeen(citizen: Citizen): ReadonlySet<string> {
    return this.#forksSeen(citizen)
  }

  get server(): Citizen {
    return this.citizen('server')
  }

  citizen(name: string): Citizen {
    const citizen = this.citizens.get(name)
    if (citizen === undefined) throw new Error(`there is no ${name}`)
    return citizen
  }

  get honest(): Citizen[] {
    return [...this.citizens.values()].filter(({ isTraitor }) => !isTraitor)
  }

  // What people do.

  edit(citizen: Citizen, index: number, draw: number): void {
    const { board, database } = citizen
    if (board === undefined || database === undefined || citizen.isAuthority) return
    const stream = new Stream(this.#seed, `edit/${draw}`)
    const key = `item${index}`
    const found = board.item(Card, key)
    try {
      const item =
        found ?? (found === null && citizen.owner.startsWith('founder') ? board.create(Card, {}, { key }) : undefined)
      if (item === undefined) return
      const kind = stream.int(10)
      const word = stream.pick(['warp', 'weft', 'loom'])
      if (kind < 3) item.notes.insert(stream.int(item.notes.length + 1), word)
      else if (kind === 3 && item.notes.length > 0) item.notes.remove(stream.int(item.notes.length), 1 + stream.int(4))
      else if (kind === 4) item.title = stream.chance(0.1) ? 'closed' : word
      else if (kind === 5) item.votes.set(ballotOf(citizen.owner), stream.int(5))
      else if (kind === 6) item.tags.add(word)
      else if (kind === 7) item.points = stream.int(100)
      else if (kind === 8)
        board.transact(() => {
          item.done = !item.done
          for (const other of board.query(Card).current ?? []) if (keyOf(other) !== key) other.title = word
        })
      else if (stream.chance(0.2)) board.delete(item)
      else item.done = stream.chance(0.5)
      // Commits made in one go are one run.
      for (let more = stream.chance(0.15) ? 3 : 0; more > 0; more--) {
        board.flush()
        // Promises about what was edited before speak of that commit.
        this.afterEvent()
        item.done = !item.done
      }
      if (stream.chance(0.5) && !citizen.isTraitor) this.#track(citizen, item)
    } catch (error) {
      if (!(error instanceof WeftError)) throw error
    }
  }

  readonly #promised = new Set<Promised>()

  #track({ database }: Citizen, item: object): void {
    const session = database?.person?.session
    if (database === undefined || session === undefined) return
    const one: Promised = { database, live: liveOf(item), ids: undefined }
    this.#promised.add(one)
    this.#name(one)
    saved(item, 'authority').then(
      () => {
        this.coverage.saw('saved by the authority')
        this.#name(one)
        this.#promised.delete(one)
        const { commits } = database.repository(boardPath).pipeline
        for (const id of one.ids ?? []) if (commits.get(id)?.session === session) this.acknowledged.add(id)
      },
      (error: unknown) => {
        this.#promised.delete(one)
        if (!(error instanceof WeftError)) throw error
      },
    )
  }

  /** The commits that a promise speaks of, once what was edited is in commits. */
  #name(one: Promised): void {
    const { live } = one
    if (one.ids === undefined && live.draft.isEmpty)
      one.ids = live.merged.liveHeads.map((index) => live.merged.graph.node(index).id)
  }

  afterEvent(): void {
    for (const one of this.#promised) this.#name(one)
  }

  act(act: Act): void {
    const soft = (promise: Promise<unknown> | undefined): void =>
      void promise?.catch((error: unknown) => {
        if (!(error instanceof WeftError)) throw error
      })
    switch (act.kind) {
      case 'trick': {
        const traitor = this.traitors.get(act.who)
        soft(traitor?.act(act.trick, new Stream(this.#seed, `trick/${act.draw}`)))
        return
      }
      case 'grant': {
        const [founder, to] = [this.citizen('ann'), this.citizen(act.to)]
        if (founder.board?.pipeline.isOpen !== true) return
        if (act.invites && act.role !== null) return soft(this.#invite(founder, to, act.role))
        if (to.database?.status.connection === 'offline')
          this.coverage.saw(act.role === null ? 'member removed while offline' : 'member demoted while offline')
        return soft(founder.board.grant(to.owner, act.role, { fences: act.fences }))
      }
      case 'revoke': {
        const whom = this.citizen(act.whom)
        const session = whom.database?.person?.session
        const { database } = this.server
        if (database?.person !== undefined || database === undefined || database.root.position === null) return
        if (commitsOf(this.server.board ?? fail('no board')).some((commit) => commit.session === session))
          this.coverage.saw('revocation raced')
        if (act.session && session === undefined) return
        return soft(database.revoke(act.session && session !== undefined ? { session } : { owner: whom.owner }, 'seed'))
      }
      case 'rules':
        if (!this.server.device.on || this.server.rules > 0) return
        this.coverage.saw('rules changed')
        this.server.rules = 1
        return this.server.restart()
      case 'rotate':
        // Only a key that is in force can let another one in.
        if (!this.server.isInForce) return
        this.coverage.saw('key rotated')
        this.server.keyAt++
        return this.server.restart()
    }
  }

  async #invite(founder: Citizen, to: Citizen, role: string): Promise<void> {
    const code = await founder.board?.invite(role)
    if (code === undefined) return
    await to.database?.join(boardPath, code)
    this.coverage.saw('joined by invitation')
  }

  // What is watched on the way.

  /** Whether a replica knows that somebody may not read the board. */
  #knowsBarred(of: Citizen, { owner, database }: Citizen): boolean {
    const { board } = of
    if (of.database === undefined || board === undefined || !board.pipeline.isOpen) return false
    const session = database?.person?.session
    for (const bytes of of.database.root.after(0)) {
      const entry = readEntry(bytes, sha256)
      if (isRefusal(entry) || entry.statement.kind !== 'revocation') continue
      const { subject } = entry.statement
      if ('session' in subject ? subject.session === session : subject.owner === owner) return true
    }
    if (board.pipeline.durableEntries === 0) return false
    let role: string | null = null
    for (const { n, statement } of board.pipeline.log.entries)
      if (n < board.pipeline.durableEntries && statement.kind === 'grant' && statement.owner === owner)
        role = statement.role
    return role === null
  }

  sent(from: string, to: string, message: Uint8Array, end: object): readonly Uint8Array[] {
    const sender = this.citizen(from)
    const receiver = this.citizen(to)
    const frame = decode(message)
    const body = Array.isArray(frame) && frame[1] === syncFrame ? (frame[3] as readonly Plain[]) : undefined
    if (!sender.isTraitor && !receiver.isAuthority && body !== undefined && carries.includes(Number(body[0]))) {
      const content = body[0] === 1 ? body[2] : body[4]
      const hasContent = (Array.isArray(content) || content instanceof Uint8Array) && content.length > 0
      if (hasContent && this.#knowsBarred(sender, receiver))
        this.broken ??= `unread: ${from} sent ${to} what it knows ${to} may not read`
      if (hasContent && !sender.isAuthority && this.server.database === undefined)
        this.coverage.saw('peers synced without the authority')
    }
    return this.traitors.get(from)?.pass(to, message, end) ?? [message]
  }

  /** Traitors that never were owners give points that nobody may see. */
  get neverOwners(): boolean {
    return this.#intrigue.people.every(({ owner, isTraitor }) => !isTraitor || !owner.startsWith('founder'))
  }

  afterEvents(): void {
    if (this.broken !== undefined) throw new Error(this.broken)
    if (!this.neverOwners) return
    for (const { board, name } of this.honest) {
      if (board === undefined || !board.pipeline.isOpen) continue
      for (const item of board.query(Card).current ?? []) {
        if (item.points <= stolenPoints) throw new Error(`unauthorised: ${name} shows ${item.points} points`)
      }
    }
  }

  // What holds in the end.

  /** Whether somebody may read, as the authority's log says. */
  mayRead({ owner, isAuthority, database }: Citizen): boolean {
    if (isAuthority) return true
    const { board } = this.server
    const session = database?.person?.session
    if (board === undefined || session === undefined || this.rootEntries.some((entry) => ends(entry, session, owner)))
      return false
    let role: string | null = null
    for (const { statement } of board.pipeline.log.entries)
      if (statement.kind === 'grant' && statement.owner === owner) role = statement.role
    return role !== null || (board.pipeline.log.entries.length === 0 && owner.startsWith('founder'))
  }

  get rootEntries(): Entry[] {
    return (this.server.database?.root.after(0) ?? []).flatMap((bytes) => {
      const entry = readEntry(bytes, sha256)
      return isRefusal(entry) ? [] : [entry]
    })
  }

  unrest(): string | undefined {
    const { board: server } = this.server
    if (server === undefined || !server.pipeline.isOpen) return 'the authority is not open'
    const { commits, log } = server.pipeline
    for (const citizen of this.citizens.values()) {
      const { board, database, name } = citizen
      if (board === undefined || database === undefined || !board.pipeline.isOpen) return `${name} is not open`
      // A traitor's own replica may hold what nobody else takes.
      if (citizen.isTraitor) continue
      if (this.rootEntries.some((entry) => ends(entry, '', citizen.owner)) && database.person === undefined) continue
      if (!citizen.isAuthority && database.person === undefined) return `${name} is not logged in`
      if (!board.pipeline.isIdle) return `${name} is storing`
      if (board.problem !== undefined) return `${name} cannot store: ${board.problem.code}`
      if (database.root.size !== this.server.database?.root.size) return `${name} has an older root log`
      if (!this.mayRead(citizen)) continue
      if (board.pipeline.commits.size !== commits.size)
        return `${name} holds ${board.pipeline.commits.size} of ${commits.size} commits`
      if (board.pipeline.log.entries.length !== log.entries.length)
        return `${name} holds ${board.pipeline.log.entries.length} of ${log.entries.length} entries`
      if (board.unsaved + board.unacknowledged > 0)
        return `${name} has ${board.unsaved} unsaved and ${board.unacknowledged} unacknowledged`
    }
    const knows = log.entries.at(-1)?.root?.n ?? -1
    const revoked = this.rootEntries.findLast(({ statement }) => statement.kind === 'revocation')
    if (log.entries.length > 0 && revoked !== undefined && revoked.n > knows)
      return 'the log knows less than was revoked'
    return undefined
  }

  fates(): Fates {
    const { board, database } = this.server
    if (board === undefined || database === undefined) throw new Error('the authority is gone')
    return fatesOf({
      commits: commitsOf(board),
      root: this.rootEntries,
      log: board.pipeline.log.entries,
      ownerOf: (session) => database.certificates.get(session)?.owner,
      newestRules: 1,
    })
  }

  mustAgree(): void {
    const { board: server } = this.server
    if (server === undefined) throw new Error('the authority is gone')
    const all = commitsOf(server)
    const byId = new Map(all.map((commit) => [commit.id, commit]))
    for (const commit of all) mustBelong(commit, byId)
    const fates = this.fates()
    this.#sights(all, fates)
    for (const citizen of this.honest) {
      const { board, name } = citizen
      if (board === undefined || !this.mayRead(citizen)) continue
      for (const { id } of commitsOf(board)) if (!byId.has(id)) throw new Error(`divergence: ${name} alone holds ${id}`)
      for (const [id, byKey] of fates.of) {
        const denied = new Map(board.whyDenied(id).map(({ key, why }) => [key, why]))
        for (const [key, fate] of byKey) {
          const why = denied.get(key)
          if (fate === 'counts' && why !== undefined)
            throw new Error(`divergence: to ${name} ${id} ${key} does not count: ${why.code} ${why.about}`)
          if (fate !== 'counts' && why === undefined)
            throw new Error(`unauthorised: to ${name} ${id} ${key} counts, which is ${fate}`)
        }
      }
      for (const [key, value] of fates.values) {
        const [shown, right] = [JSON.stringify(valueIn(board, key)), JSON.stringify(value)]
        if (shown !== right) throw new Error(`divergence: ${name} shows of ${key} ${shown}, not ${right}`)
      }
    }
    this.#mustBeTold(fates)
    this.#mustReport(all)
  }

  #mustBeTold(fates: Fates): void {
    for (const id of this.acknowledged) {
      const states = [...(fates.of.get(id)?.values() ?? ['lost'])]
      // Of a commit whose clock was ahead the promise went over to the one that it was written again in.
      const isAgain = states.includes('verdict') && !this.#isCoveredBeforeVerdict(id)
      if (!isAgain && states.some((state) => state !== 'counts'))
        throw new Error(`acked lost: ${id} is ${states.join()}`)
    }
    for (const { board, database, name, isAuthority } of this.honest) {
      const session = database?.person?.session
      if (board === undefined || isAuthority || session === undefined) continue
      const told = new Set(board.rejections.map(({ commit, key }) => `${commit}/${key}`))
      for (const commit of commitsOf(board)) {
        if (commit.session !== session) continue
        for (const { key } of commit.changes) {
          const fate = fates.of.get(commit.id)?.get(key)
          const isTold = told.has(`${commit.id}/${key}`)
          if (fate === 'counts' && isTold)
            throw new Error(`told: ${name} was told that ${commit.id} ${key} does not count`)
          // What the authority never got is fenced off, or waits for a role.
          const fenced = board.pipeline.log.deathOf(commit, database?.person?.owner ?? '', undefined)
          // What only its clock was ahead of was written again.
          if (fate === 'verdict') continue
          // Whoever lost the founding gets no byte of the other's repository, its log neither: all they hear is that it is not theirs.
          if (fate === 'founding' && !isTold && board.pipeline.log.entries.length === 0) {
            if (board.barred?.code === 'UnknownRepository') continue
            throw new Error(`told: ${name} was not told that somebody else founded before ${commit.id}`)
          }
          if ((fate === undefined ? fenced !== undefined : fate !== 'counts') && !isTold)
            throw new Error(`told: ${name} was not told that ${commit.id} ${key} is ${fate ?? 'fenced off'}`)
          if (fate === 'inapplicable') throw new Error(`garbled: ${commit.id} of ${name} cannot be applied`)
        }
      }
    }
  }

  #isCoveredBeforeVerdict(id: string): boolean {
    const { board } = this.server
    const commit = board?.pipeline.commits.get(id)
    if (board === undefined || commit === undefined) return false
    const { log } = board.pipeline
    const verdict = log.entries.findIndex(({ statement }) => statement.kind === 'verdict' && statement.commit === id)
    return log.coveredAt(commit.chain, commit.seq) < verdict
  }

  #mustReport(all: readonly Commit[]): void {
    const places = new Map<string, string>()
    for (const { chain, seq, id } of all) {
      const place = `${chain}/${seq}`
      if (places.has(place) && places.get(place) !== id && !this.forksSeen(this.server).has(chain))
        throw new Error(`unseen: the authority did not report the fork of ${chain}`)
      places.set(place, id)
    }
  }

  #sights(all: readonly Commit[], { of }: Fates): void {
    for (const byKey of of.values()) {
      for (const fate of byKey.values()) {
        if (fate === 'refused') this.coverage.saw('change refused by the rules')
        else if (fate === 'inapplicable') this.coverage.saw('change that cannot be applied')
        else if (fate === 'fence') this.coverage.saw('fence voided something')
        else if (fate === 'revoked') this.coverage.saw('revocation voided something')
        else if (fate === 'branch') this.coverage.saw('branch lost')
        else if (fate === 'founding') this.coverage.saw('founding raced')
        else if (fate === 'verdict') this.coverage.saw('verdict given')
      }
    }
    const branches = new Map<string, number>()
    for (const { chain, seq } of all) branches.set(`${chain}/${seq}`, (branches.get(`${chain}/${seq}`) ?? 0) + 1)
    if ([...branches.values()].some((count) => count > 2)) this.coverage.saw('third branch')
  }
}

const ends = ({ statement }: Entry, session: string, owner: string): boolean => {
  if (statement.kind !== 'revocation') return false
  const { subject } = statement
  return 'session' in subject ? subject.session === session : subject.owner === owner
}

const nOf = (position: { readonly n: number } | null): number => position?.n ?? -1

/** What no replica may even store: a commit for another repository, and one that cites less than what it builds on. */
const mustBelong = (commit: Commit, byId: ReadonlyMap<string, Commit>): void => {
  const { id, repository, policy, prev, changes } = commit
  if (repository !== boardPath) throw new Error(`unauthorised: ${id} is a commit of ${repository}`)
  for (const earlier of [...(prev === null ? [] : [prev]), ...changes.flatMap(({ parents }) => parents)]) {
    const before = byId.get(earlier)?.policy
    if (before === undefined) throw new Error(`divergence: ${id} builds on ${earlier}, which is not here`)
    if (policy.root.n < before.root.n || nOf(policy.authority) < nOf(before.authority))
      throw new Error(`unauthorised: the policy of ${id} goes back`)
  }
}

const fail = (why: string): never => {
  throw new Error(why)
}

export const playByzantine = async (script: Script, options: WorldOptions = {}): Promise<Played> => {
  const { intrigue, plan } = script
  if (intrigue === undefined) throw new Error('a script without an intrigue')
  const stage = new Stage(plan, { stepLimit: 400_000, ...options })
  const { world, network } = stage
  const coverage = new Coverage(byzantineSights)
  const assembly = new Assembly(stage, intrigue, plan.seed, coverage, script.mesh === true)
  network.wire = (from, to, message, end) => assembly.sent(from, to, message, end)
  world.check('after the event', () => assembly.afterEvent())
  world.check('after some events', () => assembly.afterEvents(), 4)
  const quiet: number[] = []
  const played = (): Played => ({ events: world.steps, trace: world.traceHash(), coverage, quiet })
  const judge = (what: string, run: () => void): void => {
    try {
      run()
    } catch (error) {
      throw new Failure(`${what}: ${error instanceof Error ? error.message : String(error)}`, world, error)
    }
  }
  stage.open({
    boot: (device) => assembly.citizen(device.name).boot(),
    edit: (device, item, draw) => assembly.edit(assembly.citizen(device.name), item, draw),
  })
  for (const act of intrigue.acts) world.when(act.at, `act ${JSON.stringify(act)}`, () => assembly.act(act))
  if ((await world.run(plan.duration)) === 'step') return played()

  // Traitors are silent, everything heals; channels that something was kept from begin anew.
  for (const traitor of assembly.traitors.values()) traitor.active = false
  stage.calm()
  for (const name of assembly.traitors.keys())
    for (const other of assembly.citizens.keys()) network.breakLinks(name, other)
  for (const name of assembly.traitors.keys())
    for (const other of assembly.citizens.keys()) network.breakLinks(other, name)
  const settle = async (what: string): Promise<boolean> => {
    const from = world.now
    const ended = await world.run(from + calmLimit, () => assembly.unrest() === undefined)
    if (ended === 'step') return false
    if (ended === 'time') throw new Failure(`${what}: not quiet: ${assembly.unrest()}`, world)
    quiet.push(world.now - from)
    return (await world.run(world.now + 3_000)) !== 'step'
  }
  if (!(await settle('after the calm'))) return played()
  for (const device of stage.devices.values()) device.clock.jump(aWhile)
  for (const citizen of assembly.citizens.values()) citizen.restart()
  if (!(await settle('after a restart of all'))) return played()
  judge('after a restart of all', () => assembly.mustAgree())
  return played()
}
