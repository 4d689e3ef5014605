/** Rows B1 to B5: who may write what, as every replica finds by itself, whatever way and order things come in. */
import { create, read, write } from '@weft-db/engine'
import { toHex } from '../../../packages/engine/src/bytes/bytes.ts'
import type { Commit, Position } from '../../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../../packages/engine/src/commit/operation.ts'
import type { Entry } from '../../../packages/engine/src/trust/entry.ts'
import { Lab } from '../../road/lab.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { Chronicle } from '../chronicle.ts'
import { mustHold, type Row } from '../row.ts'
import { Card, type CommitChange, type Person, Target } from '../target.ts'

/** Fields that a role may edit; it may create items too. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  owner: ['title', 'points', 'tags', 'votes', 'notes'],
  writer: ['title', 'notes'],
  counter: ['points', 'votes'],
  tagger: ['tags'],
  viewer: [],
}

const rules = [
  read('/board/:id', ({ role }) => role !== undefined),
  create('/board/:id', () => 'owner'),
  write('/board/:id', ({ role, fields }) => {
    const mine = Object.hasOwn(allowed, role ?? '') ? allowed[role ?? ''] : undefined
    return mine !== undefined && (mine.length > 0 ? fields.every((field) => mine.includes(field)) : false)
  }),
]

const may = (role: string | undefined, fields: readonly string[]): boolean =>
  role !== undefined && role !== 'viewer' && fields.every((field) => allowed[role]?.includes(field))

const shown = (target: Target, key: string): string => JSON.stringify(target.repository().item(Card, key) ?? null)

const operationOn = (field: string, draws: Stream, base: Commit): Operation => {
  if (field === 'title') return { kind: 'assign', field, value: 'taken' }
  if (field === 'points') return { kind: 'assign', field, value: 1_000 + draws.int(9) }
  if (field === 'tags')
    return draws.chance(0.5)
      ? { kind: 'add', field, value: 'taken' }
      : { kind: 'remove', field, tags: [`${base.id}:2`] }
  if (field === 'votes') return { kind: 'put', field, entry: ['base', 1_000] }
  return { kind: 'splice', field, at: 0, remove: 2, length: 5, insert: 'taken' }
}

const baseOperations: readonly Operation[] = [
  { kind: 'assign', field: 'title', value: 'base' },
  { kind: 'assign', field: 'points', value: 1 },
  { kind: 'add', field: 'tags', value: 'base' },
  { kind: 'put', field: 'votes', entry: ['base', 1] },
  { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 4, insert: 'base' },
]

interface Cast {
  readonly founder: Target
  readonly replicas: readonly Target[]
  readonly chronicle: Chronicle
  readonly people: ReadonlyMap<string | undefined, Person>
  readonly entries: readonly Uint8Array[]
  close(): Promise<void>
}

/** A network whose repository has somebody of every role, and replicas that know all of its log. */
const cast = async (seed: string, replicas: number): Promise<Cast> => {
  const founder = await Target.open(seed, { signatures: 'fast', rules })
  const chronicle = new Chronicle(founder)
  const people = new Map<string | undefined, Person>()
  for (const role of [...Object.keys(allowed), undefined]) {
    const person = await founder.person()
    people.set(role, person)
    if (role !== undefined) await chronicle.give(person.certificate.owner, role, { founding: role === 'owner' })
  }
  const others: Target[] = []
  for (let made = 0; made < replicas; made++) others.push(await Target.open(`${seed} ${made}`, { of: founder, rules }))
  const entries = chronicle.log.entries.map(({ bytes }) => bytes)
  const certificates = [...people.values()].map(({ certificate }) => certificate)
  for (const target of others) await target.offer([], certificates, { entries })
  return {
    founder,
    replicas: others,
    chronicle,
    people,
    entries,
    close: async () => {
      for (const target of [...others, founder]) await target.close()
    },
  }
}

const personOf = ({ people }: Cast, role: string | undefined): Person => {
  const person = people.get(role)
  if (person === undefined) throw new Error(`nobody is ${role}`)
  return person
}

const cited = ({ founder, chronicle }: Cast): { root: Position; authority: Position | null } => {
  const { position } = founder.database.root
  if (position === null) throw new Error('no network')
  return { root: position, authority: chronicle.position }
}

/** B1: `trials` paths that no rule fits, written to and asked for. */
export const noRule: Row = async ({ trials, seed }) => {
  const target = await Target.open(seed, { rules: [...rules, read('/open/:id', () => true)], signatures: 'fast' })
  let violations = 0
  const person = await target.person()
  try {
    for (let trial = 0; trial < trials; trial++) {
      const { draws } = target
      const type = draws.pick(['open', 'boards', 'Board', 'boar', 'b.oard', 'constructor', '__proto__', 'toString'])
      const path = `/${type}/${toHex(draws.bytes(4))}`
      await target.repository(path).ready
      const commit = await target.commit(person, { path })
      await target.offer([commit], [person.certificate], { path })
      const repository = target.repository(path)
      if ((repository.query(Card).current ?? []).length > 0) violations++
      if (repository.item(Card, commit.changes[0]?.key ?? '')) violations++
    }
    // The founder's first commit makes the repository; on another path the same commit counts.
    const right = await target.commit(person)
    await target.offer([right], [person.certificate])
    mustHold((target.repository().query(Card).current ?? []).length === 1, 'nothing can be written', violations)
  } finally {
    await target.close()
  }
  const lab = new Lab(`${seed} reading`)
  await lab.authority({ rules })
  const client = await lab.join('reader', { rules })
  const asked = Math.min(trials, 50)
  const paths = Array.from({ length: asked }, (_, index) => `/secret/${index}`)
  const repositories = paths.map((path) => client.database.repository(path))
  const own = client.database.repository('/board/own')
  await lab.run(5_000)
  violations += repositories.filter(({ synced }) => synced).length
  mustHold(own.synced, 'nothing can be read', violations)
  return { trials: trials + asked, violations, paths: trials }
}

/** B2: `trials` edits of random fields by random roles, offered to replicas one after the other in random order. */
export const fieldsOfRoles: Row = async ({ trials, seed }) => {
  const stage = await cast(seed, 3)
  const draws = stream(seed, 'fields')
  let [violations, permitted] = [0, 0]
  try {
    for (let done = 0; done < trials; ) {
      const bases: Commit[] = []
      const attacks: {
        readonly commit: Commit
        readonly fields: readonly string[]
        readonly role: string | undefined
      }[] = []
      for (; attacks.length < 50 && done < trials; done++) {
        const key = toHex(draws.bytes(12))
        const policy = cited(stage)
        const base = await stage.founder.commit(personOf(stage, 'owner'), {
          header: { policy },
          draft: { key, operations: baseOperations },
        })
        const role = draws.pick([...stage.people.keys()])
        const fields = draws.shuffle(allowed['owner'] ?? []).slice(0, 1 + draws.int(3))
        const commit = await stage.founder.commit(personOf(stage, role), {
          header: { policy, clock: base.clock + 1 },
          draft: { key, parents: [base.id], operations: fields.map((field) => operationOn(field, draws, base)) },
        })
        bases.push(base)
        attacks.push({ commit, fields, role })
      }
      for (const replica of draws.shuffle(stage.replicas)) {
        await replica.offer(bases)
        const before = bases.map((base) => shown(replica, base.changes[0]?.key ?? ''))
        await replica.offer(draws.shuffle([...attacks, ...attacks]).map(({ commit }) => commit))
        for (const [index, { commit, fields, role }] of attacks.entries()) {
          const after = shown(replica, commit.changes[0]?.key ?? '')
          const is = may(role, fields)
          if (is) permitted++
          if ((after !== before[index]) !== is) violations++
        }
      }
    }
    mustHold(permitted > 0, 'nobody may do anything', violations)
  } finally {
    await stage.close()
  }
  return { trials, violations, permitted }
}

/** B3: `trials` commits on lists of parents that their authors made up, some of several items, atomic or not. */
export const evilMerges: Row = async ({ trials, seed }) => {
  const stage = await cast(seed, 2)
  const draws = stream(seed, 'merges')
  const [all, clean] = stage.replicas as [Target, Target]
  let [violations, evil] = [0, 0]
  try {
    for (let done = 0; done < trials; ) {
      const policy = cited(stage)
      const keys = Array.from({ length: 3 }, () => toHex(draws.bytes(12)))
      const history = new Map<string, Commit[]>()
      let clock = stage.founder.time * 256
      for (const key of keys) {
        const made: Commit[] = []
        for (let step = 0; step < 6; step++) {
          const parents = draws
            .shuffle(made)
            .slice(0, step === 0 ? 0 : 1 + draws.int(2))
            .map(({ id }) => id)
            .sort()
          const [root] = made
          const operations =
            root === undefined
              ? baseOperations
              : draws
                  .shuffle(allowed['owner'] ?? [])
                  .slice(0, 2)
                  .map((field) => operationOn(field, draws, root))
          clock += 1 + draws.int(3)
          made.push(
            await stage.founder.commit(personOf(stage, 'owner'), {
              header: { policy, clock },
              draft: { key, parents, operations },
            }),
          )
        }
        history.set(key, made)
      }
      const honest = [...history.values()].flat()
      const attacks: Commit[] = []
      const fair: Commit[] = []
      for (let made = 0; made < 12 && done < trials; made++, done++) {
        const role = draws.pick(['writer', 'counter', 'tagger'])
        const atomic = draws.chance(0.5)
        const touched = draws.shuffle(keys).slice(0, 1 + draws.int(2))
        const fieldsOf = touched.map(() => draws.shuffle(allowed['owner'] ?? []).slice(0, 1 + draws.int(2)))
        const drafts = touched.map((key, index) => {
          const made = history.get(key) ?? []
          const [root] = made
          if (root === undefined) throw new Error('an item without history')
          return {
            key,
            parents: draws
              .shuffle(made)
              .slice(0, 1 + draws.int(4))
              .map(({ id }) => id)
              .sort(),
            operations: (fieldsOf[index] ?? []).map((field) => operationOn(field, draws, root)),
          }
        })
        const change: CommitChange = { header: { policy, clock: clock + 1 + draws.int(9), atomic }, drafts }
        const commit = await stage.founder.commit(personOf(stage, role), change)
        const good = fieldsOf.map((fields) => may(role, fields))
        if (good.every((one) => one)) fair.push(commit)
        else if (atomic || good.every((one) => !one)) attacks.push(commit)
        else {
          // What may be done of it counts; told apart by an author who leaves the rest out.
          made--
          done--
        }
      }
      evil += attacks.length
      await all.offer(honest)
      await clean.offer(honest)
      await all.offer(draws.shuffle([...attacks, ...fair]))
      await clean.offer(fair)
      for (const key of keys) if (shown(all, key) !== shown(clean, key)) violations++
      for (const attack of attacks)
        if (!all.has(attack)) mustHold(false, 'an evil merge was not even stored', violations)
    }
    mustHold(evil > 0, 'no merge was evil', violations)
  } finally {
    await stage.close()
  }
  return { trials, violations, evil }
}

/** A short history: entries in the order of the log, commits in any, and which of them count in the end. */
interface History {
  readonly entries: readonly Entry[]
  readonly commits: readonly { readonly commit: Commit; readonly counts: boolean; readonly person: Person }[]
}

type Make = (target: Target, draws: Stream) => Promise<History>

const histories: Readonly<Record<string, Make>> = {
  'a role used before it is given': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const early = await at(target, log, ada)
    const one = await log.give(ada.certificate.owner, 'writer')
    const late = await at(target, log, ada)
    const own = await at(target, log, owner)
    return { entries: [zero, one], commits: [no(early, ada), yes(late, ada), yes(own, owner)] }
  },
  'a role taken, with a fence': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const one = await log.give(ada.certificate.owner, 'writer')
    const [covered, late] = [await at(target, log, ada), await at(target, log, ada)]
    const two = await log.cover(covered)
    const three = await log.give(ada.certificate.owner, null, { fences: true })
    const after = await at(target, log, ada)
    return { entries: [zero, one, two, three], commits: [yes(covered, ada), no(late, ada), no(after, ada)] }
  },
  'a role taken, without a fence': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const one = await log.give(ada.certificate.owner, 'writer')
    const before = await at(target, log, ada)
    const two = await log.give(ada.certificate.owner, null)
    const after = await at(target, log, ada)
    return { entries: [zero, one, two], commits: [yes(before, ada), no(after, ada)] }
  },
  'a role taken and given again': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const one = await log.give(ada.certificate.owner, 'writer')
    const before = await at(target, log, ada)
    const two = await log.give(ada.certificate.owner, null, { fences: true })
    const between = await at(target, log, ada)
    const three = await log.give(ada.certificate.owner, 'writer')
    const after = await at(target, log, ada)
    return { entries: [zero, one, two, three], commits: [no(before, ada), no(between, ada), yes(after, ada)] }
  },
  'two who found one repository': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const [hers, theirs] = [await at(target, log, ada), await at(target, log, owner)]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const one = await log.cover(theirs)
    const later = await at(target, log, owner)
    return { entries: [zero, one], commits: [no(hers, ada), yes(theirs, owner), yes(later, owner)] }
  },
  'what the authority voids': async (target) => {
    const [log, owner, ada] = [new Chronicle(target), await target.person(), await target.person()]
    const zero = await log.give(owner.certificate.owner, 'owner', { founding: true })
    const one = await log.give(ada.certificate.owner, 'writer')
    const [void_, other] = [await at(target, log, ada), await at(target, log, ada)]
    const two = await log.write({
      kind: 'verdict',
      commit: void_.id,
      key: null,
      code: 'Spam',
      rule: 'r',
      reason: 'spam',
    })
    const three = await log.cover(other)
    return { entries: [zero, one, two, three], commits: [no(void_, ada), yes(other, ada)] }
  },
}

const yes = (commit: Commit, person: Person) => ({ commit, person, counts: true })
const no = (commit: Commit, person: Person) => ({ commit, person, counts: false })

/** A commit of an item of its own that cites the newest entry. */
const at = (target: Target, log: Chronicle, person: Person): Promise<Commit> => {
  const { position: root } = target.database.root
  if (root === null) throw new Error('no network')
  return target.commit(person, { header: { policy: { root, authority: log.position } } })
}

/** Every way to lay the second list, in any order, into the first, whose order stands. */
function* lay<One>(placed: readonly One[], first: readonly One[], second: readonly One[]): Generator<One[]> {
  const [head, ...rest] = first
  if (head === undefined && second.length === 0) {
    yield [...placed]
    return
  }
  if (head !== undefined) yield* lay([...placed, head], rest, second)
  for (const [index, one] of second.entries()) yield* lay([...placed, one], first, second.toSpliced(index, 1))
}

/** B4: histories of at most seven events in every order that the log allows, at most `trials` of each. */
export const races: Row = async ({ trials: most, seed }) => {
  let [trials, violations] = [0, 0]
  const through = new Set<string>()
  for (const [what, make] of Object.entries(histories)) {
    const founder = await Target.open(`${seed} ${what}`, { signatures: 'fast', rules })
    const draws = stream(seed, what)
    const { entries, commits } = await make(founder, draws)
    const certificates = commits.map(({ person }) => person.certificate)
    const all = [
      ...lay<Entry | Commit>(
        [],
        entries,
        commits.map(({ commit }) => commit),
      ),
    ]
    for (const order of draws.shuffle(all).slice(0, most)) {
      const replica = await Target.open(`${seed} ${trials}`, { of: founder, rules })
      await replica.offer([], certificates)
      for (const one of order) {
        if ('statement' in one) await replica.offer([], [], { entries: [one.bytes] })
        else await replica.offer([one])
      }
      trials++
      for (const { commit, counts } of commits) {
        const is = shown(replica, commit.changes[0]?.key ?? '') !== 'null'
        if (is === counts) continue
        violations++
        through.add(what)
      }
      await replica.close()
    }
    await founder.close()
  }
  return { trials, violations, histories: Object.keys(histories).length, through: [...through].join('; ') }
}

/** B5: `trials` commits under certificates of all ages, with clocks of any time, offered to the authority. */
export const expired: Row = async ({ trials, seed }) => {
  const target = await Target.open(seed, { signatures: 'fast' })
  let [violations, late] = [0, 0]
  const day = 86_400_000
  try {
    for (let trial = 0; trial < trials; trial++) {
      const { draws } = target
      const issued = target.time - draws.int(40 * day)
      const expires = issued + 1 + draws.int(29 * day)
      const person = await target.person({ issued, expires })
      // A time at which the certificate was good, as the author writes it.
      const clock = (issued + draws.int(expires - issued)) * 256
      const commit = await target.commit(person, { header: { clock } })
      await target.offer([commit], [person.certificate])
      const isLate = expires < target.time
      if (isLate) late++
      if (isLate && target.has(commit)) violations++
      mustHold(isLate || target.has(commit), 'a certificate in force is refused', violations)
      target.time += draws.int(1_000)
    }
    mustHold(late > 0, 'no certificate was expired', violations)
  } finally {
    await target.close()
  }
  return { trials, violations, late }
}
