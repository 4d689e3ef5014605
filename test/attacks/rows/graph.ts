/** Rows C1, C2, C4 and C9: what commits may build on, what waits, what merging never writes, and schemas that not everybody has. */
import { boolean, number, type Repository, type Schema, schema, set, string } from '@weft-db/engine'
import { fromHex, toHex } from '../../../packages/engine/src/bytes/bytes.ts'
import type { Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { Card, Lab, board as livingBoard, type Replica } from '../../road/lab.ts'
import { stream } from '../../sim/random.ts'
import { occupied } from '../occupied.ts'
import { type Edit, rewritten } from '../rewrite.ts'
import { mustHold, type Row } from '../row.ts'
import { hash, nameOf, Target } from '../target.ts'

const megabyte = 1_048_576

/** C1: `trials` right commits of one person that build on what nobody has. */
export const orphans: Row = async ({ trials, seed }) => {
  const target = await Target.open(seed, { signatures: 'fast' })
  let [violations, most, bytes, kept] = [0, 0, 0, 0]
  try {
    const [attacker, honest] = [await target.person(), await target.person()]
    await target.offer([], [attacker.certificate, honest.certificate])
    const { pipeline } = target.repository()
    const write = async (): Promise<number> => {
      const commits = await Promise.all(Array.from({ length: 64 }, () => target.commit(honest)))
      const began = performance.now()
      await target.offer(commits)
      const took = performance.now() - began
      kept += commits.length
      if (!commits.every((commit) => target.has(commit))) violations++
      return took
    }
    await write()
    const calm = Math.min(await write(), await write(), await write())
    let before = 0
    let [busy, growth] = [Number.POSITIVE_INFINITY, 0]
    for (let sent = 0; sent < trials; ) {
      const batch: Commit[] = []
      for (; batch.length < 500 && sent < trials; sent++) {
        const title = sent % 50 === 0 ? 'x'.repeat(60_000) : 'x'
        const operations = [{ kind: 'assign' as const, field: 'about', value: title }]
        batch.push(await target.commit(attacker, { draft: { parents: [toHex(target.draws.bytes(32))], operations } }))
      }
      await target.offer(batch)
      const { pending } = pipeline
      most = Math.max(most, pending.commits)
      bytes = Math.max(bytes, pending.bytes)
      if (pending.commits > limits.pendingCommits || pending.bytes > limits.pendingBytes) violations++
      // The pool is full after the first few batches.
      if (sent === 2_000 || (before === 0 && sent >= trials / 2)) before = await occupied()
      if (sent % 100_000 < 500 || sent >= trials) {
        busy = Math.min(busy, await write())
        growth = before === 0 ? 0 : Math.max(growth, (await occupied()) - before)
      }
    }
    const grown = Math.max(0, growth) / megabyte
    // What the honest wrote meanwhile is kept, and is no growth of the attacker's.
    if (grown > 16 + (kept * 4_096) / megabyte) violations++
    if (pipeline.commits.size !== kept) violations++
    mustHold(most > 0, 'nothing waited', violations)
    return {
      trials,
      violations,
      waiting: most,
      waitingBytes: bytes,
      grownMegabytes: Math.round(grown * 10) / 10,
      honestRatio: Math.round((100 * busy) / calm) / 100,
    }
  } finally {
    await target.close()
  }
}

const parentsOf = (parents: readonly Plain[]): Edit => ({ identity: (fields) => fields.with(1, [...parents]) })

const manyIds = Array.from({ length: 100_000 }, (_, index) => {
  const id = new Uint8Array(32)
  new DataView(id.buffer).setUint32(0, index)
  return id
})

/** C2: `trials` times the table of commits that build on what they may not. */
export const ancestry: Row = async ({ trials: times, seed }) => {
  const target = await Target.open(seed)
  let [trials, violations] = [0, 0]
  const through = new Set<string>()
  try {
    const person = await target.person()
    await target.offer([], [person.certificate])
    for (let time = 0; time < times; time++) {
      const key = toHex(target.draws.bytes(12))
      const many: Commit[] = []
      for (let made = 0; made < 18; made++) many.push(await target.commit(person, { draft: { key } }))
      const elsewhere = await target.commit(person)
      await target.offer([...many, elsewhere])
      mustHold(
        many.every((commit) => target.has(commit)),
        'the parents are refused',
        violations,
      )
      const [first, second] = many as [Commit, Commit]
      const ids = many
        .map(({ id }) => id)
        .sort()
        .map(fromHex)
      const [low, high] = ids as [Uint8Array, Uint8Array]
      const right = await target.commit(person, {
        draft: { key, parents: [first.id] },
        header: { clock: first.clock + 9 },
      })
      const cases: Record<string, Edit> = {
        'one parent twice': parentsOf([low, low]),
        'out of order': parentsOf([high, low]),
        'one parent too many': parentsOf(ids.slice(0, limits.parents + 1)),
        'five thousand parents': parentsOf(manyIds.slice(0, 5_000)),
        'a hundred thousand parents': parentsOf(manyIds),
        'a parent of another item': parentsOf([fromHex(elsewhere.id)]),
        'a parent that nobody has': parentsOf([target.draws.bytes(32)]),
        'a short parent': parentsOf([low.slice(0, 31)]),
        'a parent as text': parentsOf([toHex(low)]),
        'a parent of its own content': parentsOf([hash(right.bytes)]),
        'itself before itself': { header: (fields) => fields.with(5, 1).with(6, fromHex(right.id)) },
        'the commit of another chain before it': { header: (fields) => fields.with(5, 1).with(6, fromHex(second.id)) },
        'a chain that begins late': { header: (fields) => fields.with(5, 7).with(6, fromHex(first.id)) },
        'a chain that begins twice': { header: (fields) => fields.with(6, fromHex(first.id)) },
        'a clock not later than its parent': { header: (fields) => fields.with(7, first.clock) },
        'two changes of one item': { changes: (changes) => [...changes, ...changes] },
        'no change at all': { changes: () => [] },
      }
      for (const [what, edit] of Object.entries(cases)) {
        const { bytes, id } = await rewritten(right, person, edit)
        const { commits } = target.repository().pipeline
        const before = commits.size
        await target.offer([bytes])
        trials++
        if (commits.size > before || commits.has(id)) {
          violations++
          through.add(what)
        }
      }
      await target.offer([right])
      mustHold(target.has(right), 'the right one is refused too', violations)
    }
  } finally {
    await target.close()
  }
  return { trials, violations, through: [...through].join('; ') }
}

const commitsOf = ({ database }: Replica): number => database.repository(livingBoard).pipeline.commits.size

const idsOf = ({ pipeline: { commits } }: Repository): string[] =>
  Array.from({ length: commits.size }, (_, index) => commits.at(index)?.id ?? '')

/** C4: `trials` times, replicas that edit the same items apart and meet again; afterwards nobody writes anything. */
export const storms: Row = async ({ trials, seed }) => {
  let [violations, heads] = [0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const lab = new Lab(`${seed} storm ${trial}`)
    const draws = stream(seed, `storm ${trial}`)
    const replicas = [await lab.authority()]
    for (let made = 0; made < 3 + draws.int(4); made++) replicas.push(await lab.join(`client ${made}`))
    const boards = replicas.map(({ database }) => database.repository(livingBoard))
    await lab.run(1_000)
    for (const { name } of replicas.slice(1)) lab.disconnect(name)
    await lab.run(10)
    for (const [index, board] of boards.entries()) {
      if (index === 0) continue
      for (let edit = 0; edit < 5; edit++) {
        const card = board.create(Card, { title: `${index} ${edit}` }, { key: `shared ${draws.int(3)}` })
        card.notes.insert(0, `${index}${edit}`)
        card.tags.add(String(draws.int(9)))
        await lab.run(draws.int(400))
      }
    }
    // All that anybody will ever write is written; from here on replicas only meet.
    await lab.until(() => replicas.every(({ database }) => database.status.unsaved === 0))
    const written = new Set(boards.flatMap(idsOf))
    for (const { name } of replicas.slice(1)) lab.connect(name)
    await lab.run(5_000)
    for (const ofSchema of boards[0]?.counting.items.values() ?? [])
      for (const [, item] of ofSchema) heads = Math.max(heads, item.heads.length)
    await lab.run(120_000)
    const more = new Set(boards.flatMap(idsOf).filter((id) => !written.has(id)))
    violations += more.size
    mustHold(
      boards.every((board) => board.pipeline.commits.size === written.size) && written.size > 5,
      'the replicas do not meet',
      violations,
    )
    for (const { database } of replicas) {
      const closing = database.close()
      await lab.run(50)
      await closing
    }
  }
  mustHold(heads > 1, 'no item has two heads', violations)
  return { trials, violations, mostHeads: heads }
}

const versions: readonly Schema[] = [
  schema('plan', 1, { title: string(), done: boolean() }),
  schema('plan', 2, { title: string(), done: boolean(), points: number() }),
  schema('plan', 3, { title: string(), tags: set(string()) }),
]

const shown = (replica: Replica, of: Schema): string =>
  JSON.stringify(
    (replica.database.repository(livingBoard).query(of).current ?? []).map((item) => JSON.stringify(item)).sort(),
  )

/** C9: `trials` schedules of writers and readers of three versions each, and an authority that knows none. */
export const schemas: Row = async ({ trials: times, seed }) => {
  let [trials, violations] = [0, 0]
  for (let time = 0; time < times; time++) {
    const lab = new Lab(`${seed} schemas ${time}`)
    const draws = stream(seed, `schemas ${time}`)
    const authority = await lab.authority({ schemas: [] })
    const writers: Replica[] = []
    const readers: Replica[] = []
    for (const one of versions) {
      writers.push(await lab.join(`writer ${one.version}`, { schemas: [one] }))
      readers.push(await lab.join(`reader ${one.version}`, { schemas: [one] }))
    }
    const all = [authority, ...writers, ...readers]
    for (const { database } of all) database.repository(livingBoard)
    await lab.run(500)
    for (let edit = 0; edit < 12; edit++) {
      const index = draws.int(versions.length)
      const [writer, of] = [writers[index], versions[index]]
      if (writer === undefined || of === undefined) continue
      if (draws.chance(0.2)) lab.disconnect(writer.name)
      writer.database
        .repository(livingBoard)
        .create(of, { title: `${edit} by ${of.version}` }, { key: `plan ${draws.int(4)}` })
      await lab.run(draws.int(700))
      lab.connect(writer.name)
    }
    await lab.run(10_000)
    const total = commitsOf(authority)
    mustHold(total > 6, 'nothing was written', violations)
    const closed: string[] = []
    for (const [w, writer] of writers.entries()) {
      const of = versions[w]
      if (of === undefined) continue
      const values = shown(writer, of)
      for (const [r, reader] of readers.entries()) {
        trials++
        const repository = reader.database.repository(livingBoard)
        const missing = [...writer.database.repository(livingBoard).pipeline.commits.heads()].some(
          ({ id }) => !repository.pipeline.commits.has(id),
        )
        const counts = repository.counting.items.get(nameOf(of).hash)?.keys().next().done === false
        if (missing || commitsOf(reader) !== total || (r === w ? shown(reader, of) !== values : counts)) violations++
      }
    }
    // The update brings what was held, from this device alone.
    for (const reader of readers) {
      const closing = reader.database.close()
      await lab.run(50)
      await closing
      const updated = await lab.start(reader.name, { schemas: versions })
      updated.database.repository(livingBoard)
      await lab.run(100)
      for (const [w, writer] of writers.entries()) {
        const of = versions[w]
        if (of !== undefined && shown(updated, of) !== shown(writer, of)) violations++
      }
      const ended = updated.database.close()
      await lab.run(50)
      await ended
      closed.push(reader.name)
    }
    for (const { database, name } of all) {
      if (closed.includes(name)) continue
      const closing = database.close()
      await lab.run(50)
      await closing
    }
  }
  return { trials, violations, schedules: times }
}
