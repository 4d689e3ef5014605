/**
 * Erasure under schedules: people write in the same items, some of them out of reach, one erases, replicas are killed meanwhile, and a holder
 * of all the content comes back. Nothing of what was erased may be in a file or a value of any of them, and all must show the same.
 */
import { type Database, erase, type Item, isRefusal, type Repository, type Rules, read, write } from '@weft-db/engine'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { scan } from '../../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../../packages/engine/src/log/packedlog.ts'
import { board, Card, Lab, type Replica } from '../../road/lab.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { sha256 } from '../../sim/shelf.ts'
import { mustHold, type Row } from '../row.ts'

const rules: Rules = [
  read('/board/:id', () => true),
  // Refused now and then, depending on what was written: whoever has other rules writes it all the same.
  write('/board/:id', ({ item, before }) => item.key !== 'strict' || String(before?.['notes'] ?? '').length % 3 !== 2),
  erase('/board/:id', () => true),
]

const lax: Rules = [read('/board/:id', () => true), write('/board/:id', () => true), erase('/board/:id', () => true)]

const boardOf = ({ database }: { database: Database }): Repository => database.repository(board)

const keys = ['one', 'two', 'strict']

const shownBy = (repository: Repository): string =>
  JSON.stringify(
    keys.map((key) => {
      const card = repository.item(Card, key)
      return card && [card.title, card.notes.toString(), card.more.toString(), [...card.tags], [...card.votes]]
    }),
  )

/** Everything that a commit says, in its bytes. */
const commitsOf = (repository: Repository): Commit[] => {
  const { commits } = repository.pipeline
  return Array.from({ length: commits.size }, (_, index) => commits.at(index)).filter((one) => one !== undefined)
}

const holds = ({ changes }: Commit, key: string, mark: string): boolean =>
  changes.some((change) => change.key === key && JSON.stringify(change.operations).includes(mark))

/** Of covered changes, whether they count. */
const verdictsOf = (repository: Repository): Map<string, boolean> => {
  const { log, durableEntries } = repository.pipeline
  const covered = commitsOf(repository).filter(({ chain, seq }) => log.coveredAt(chain, seq) < durableEntries)
  return new Map(
    covered.flatMap(({ id, changes }) => {
      const denied = repository.whyDenied(id)
      return changes.map(({ key }) => [`${id}/${key}`, !denied.some((one) => one.key === key)] as const)
    }),
  )
}

/** Records that frames of a file hold, deflated or not. */
const recordsIn = (bytes: Uint8Array): Uint8Array[] => {
  const reader = new PackedLogReader(sha256)
  return scan(bytes).frames.flatMap((frame) => {
    const records = reader.records(frame)
    return isRefusal(records) ? [] : records
  })
}

/** Files of a device, stored or cached, that hold one of the texts. */
export const filesWith = (lab: Lab, device: string, texts: readonly string[]): string[] => {
  const { disk } = lab.device(device)
  const cached = disk.names().map((name) => [name, disk.find(name)?.cached.view ?? new Uint8Array(0)] as const)
  return [...cached, ...disk.stored()].flatMap(([name, bytes]) => {
    const content = Buffer.concat([bytes, ...recordsIn(bytes)])
    return texts.some((text) => content.includes(text)) ? [name] : []
  })
}

/** Whose writes are told apart by a text of their own. */
class Writer {
  readonly #draws: Stream
  #made = 0
  /** Mark to the item it was written in. */
  readonly marks = new Map<string, string>()

  constructor(draws: Stream) {
    this.#draws = draws
  }

  #mark(key: string): string {
    // What is left of two of them is none of them.
    const mark = `${String(this.#made++).padStart(3, '0')}${this.#draws.uint32().toString(16).padStart(8, '0')}`
    this.marks.set(mark, key)
    return mark
  }

  edit(who: Replica): void {
    const draws = this.#draws
    const repository = boardOf(who)
    const key = draws.pick(keys)
    const card = repository.item(Card, key) ?? repository.create(Card, {}, { key })
    if (draws.chance(0.1)) {
      try {
        repository.transact(() => {
          const other = repository.item(Card, 'one') ?? repository.create(Card, {}, { key: 'one' })
          other.notes.insert(0, this.#mark('one'))
          if (key !== 'one') card.title = this.#mark(key)
        })
      } catch {
        // The rules are asked before anything is written.
      }
      return
    }
    this.#edit(repository, card, key)
    if (draws.chance(0.5)) repository.flush()
  }

  #edit(repository: Repository, card: Item<typeof Card>, key: string): void {
    const draws = this.#draws
    const text = draws.chance(0.8) ? card.notes : card.more
    const [kind, place, length] = [draws.int(10), draws.unit(), draws.int(9)]
    const { length: units } = text.toString()
    const at = Math.floor(place * (units + 1))
    if (kind < 4) text.insert(at, this.#mark(key))
    else if (kind < 6 && units > 0)
      text.remove(Math.min(at, units - 1), Math.min(length, units - Math.min(at, units - 1)))
    else if (kind === 6) card.title = this.#mark(key)
    else if (kind === 7) {
      for (const tag of [...card.tags].slice(0, draws.int(2))) card.tags.delete(tag)
      card.tags.add(this.#mark(key))
    } else if (kind === 8) card.votes.set(draws.chance(0.5) ? 'same' : this.#mark(key), draws.int(9))
    else if (draws.chance(0.3)) repository.delete(card)
    else card.title = this.#mark(key)
  }
}

/** `trials` schedules. `violations` counts those where content came through or replicas part. */
export const erasures: Row = async ({ trials, seed }) => {
  let [violations, erased, resolved, early, dead] = [0, 0, 0, 0, 0]
  const through: string[] = []
  for (let trial = 0; trial < trials; trial++) {
    const draws = stream(seed, `erasures ${trial}`)
    const lab = new Lab(`${seed} erasures ${trial}`)
    const replicas = new Map<string, Replica>()
    replicas.set('authority', await lab.authority({ rules }))
    for (const name of ['ada', 'bob', 'cara']) replicas.set(name, await lab.join(name, { rules }))
    const of = (name: string): Replica => {
      const replica = replicas.get(name)
      if (replica === undefined) throw new Error(`nobody is called ${name}`)
      return replica
    }
    const mallory = await lab.join('mallory', { rules: lax })
    for (const replica of [...replicas.values(), mallory]) boardOf(replica)
    await lab.run(500)
    const writer = new Writer(draws.branch('writer'))
    const work = async (times: number): Promise<void> => {
      for (let edit = 0; edit < times; edit++) {
        writer.edit(draws.chance(0.2) ? mallory : of(draws.pick(['ada', 'bob', 'cara'])))
        const whose = draws.pick(['bob', 'ada'])
        if (draws.chance(0.1)) lab.disconnect(whose)
        if (draws.chance(0.3)) lab.connect(whose)
        await lab.run(draws.int(500))
      }
    }
    /** Dies at a call to its files, and comes back. */
    const killed = draws.chance(0.6) ? draws.pick(['ada', 'bob']) : undefined
    const restart = async (name: string): Promise<void> => {
      lab.faults(name).operation = undefined
      lab.kill(name)
      await lab.run(10)
      replicas.set(name, await lab.client(name, { rules }))
      boardOf(of(name))
      await lab.run(500)
    }
    await work(4 + draws.int(8))
    lab.disconnect('cara')
    await work(3 + draws.int(8))
    lab.connect('ada')
    await lab.run(draws.int(2_000))
    // All that is here by now of an item, or some of it: the authority covers it before.
    const key = draws.pick(keys)
    const hers = boardOf(of('ada'))
    const known = commitsOf(hers).filter(({ changes }) => changes.some((change) => change.key === key))
    const chosen = draws.chance(0.5) ? known : known.filter(() => draws.chance(0.5))
    if (killed !== undefined) {
      let left = draws.int(18)
      lab.faults(killed).operation = () => left-- > 0
    }
    const verdicts = verdictsOf(boardOf(of('authority')))
    const asked = hers
      .eraseChanges(
        chosen.map(({ id }) => ({ commit: id, key })),
        'asked for',
      )
      .then(
        () => resolved++,
        () => undefined,
      )
    await lab.run(draws.int(60))
    if (killed !== undefined) await restart(killed)
    await work(draws.int(5))
    for (const name of ['ada', 'bob']) lab.connect(name)
    await lab.run(3_000)
    lab.connect('cara')
    await lab.run(3_000)
    await work(draws.int(4))
    for (const name of ['ada', 'bob', 'cara']) lab.connect(name)
    await lab.run(40_000)
    replicas.set('dora', await lab.join('dora', { rules }))
    boardOf(of('dora'))
    await lab.run(5_000)
    const { log } = boardOf(of('authority')).pipeline
    const wasErased = !log.erasures.isEmpty
    const gone = [...writer.marks].flatMap(([mark, where]) =>
      where === key &&
      chosen.some((commit) => log.erasures.at(commit.id, key) !== undefined && holds(commit, key, mark))
        ? [mark]
        : [],
    )
    if (wasErased) await asked
    const wrong: string[] = []
    const shown = new Map([...replicas].map(([name, replica]) => [name, shownBy(boardOf(replica))]))
    if (new Set(shown.values()).size !== 1) wrong.push(`they part: ${JSON.stringify([...shown])}`)
    const heads = [...replicas.values()].map((replica) =>
      [...boardOf(replica).pipeline.commits.heads()]
        .map(({ id }) => id)
        .sort()
        .join(),
    )
    if (new Set(heads).size !== 1) wrong.push('they hold other commits')
    if (/\\ud800|\p{Surrogate}|\ufffd/u.test([...shown.values()].join()))
      wrong.push('what stands for erased text is shown')
    for (const [name, replica] of replicas) {
      const now = verdictsOf(boardOf(replica))
      for (const [change, counts] of verdicts)
        if (now.get(change) !== counts) wrong.push(`${name} has another verdict of ${change}`)
    }
    if (wasErased && gone.length > 0) {
      erased++
      for (const { statement, n } of log.entries) {
        if (statement.kind !== 'erasure') continue
        dead += statement.dead.length
        for (const change of [...statement.changes, ...statement.dead]) {
          const commit = boardOf(of('authority')).pipeline.commits.get(change.commit)
          if (commit === undefined || log.coveredAt(commit.chain, commit.seq) >= n)
            wrong.push('no checkpoint is before it')
        }
      }
      for (const name of replicas.keys()) {
        for (const file of filesWith(lab, name, gone)) wrong.push(`${name} holds it in ${file}`)
        const repository = boardOf(of(name))
        for (const mark of gone) {
          if (shown.get(name)?.includes(mark) === true) wrong.push(`${name} shows ${mark}`)
          if (JSON.stringify(commitsOf(repository)).includes(mark)) wrong.push(`${name} has ${mark} in memory`)
        }
      }
    }
    for (const { incidents } of replicas.values()) early += incidents.filter(({ code }) => code === 'NotErased').length
    if (wrong.length > 0) {
      violations++
      if (through.length < 5) through.push(`${trial}: ${wrong.join('; ')}`)
    }
    for (const { database } of [...replicas.values(), mallory]) {
      const closing = database.close()
      await lab.run(50)
      await closing
    }
  }
  mustHold(erased >= trials / 2 || trials < 4, `something was erased in ${erased} of ${trials}`, violations)
  return { trials, violations, erased, resolved, early, dead, through: through.join('\n') }
}
