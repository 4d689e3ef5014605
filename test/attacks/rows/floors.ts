/**
 * What stands in the place of dropped history, attacked by a member whom nothing but the protocol keeps to the truth: somebody was away, has written on
 * top of what is dropped, and with the server away only this member can bring the history back. Or it writes what builds on dropped commits that
 * never were of the item, or another branch of what was dropped, or asks for history without end.
 */
import { anonymous, keyOf, type Repository, type SigningKey } from '@weft-db/engine'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { isRefusal } from '../../../packages/engine/src/bytes/refusal.ts'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { stripCommit } from '../../../packages/engine/src/commit/strip.ts'
import { fingerprintBytes } from '../../../packages/engine/src/sync/fingerprint.ts'
import { encodeMessage } from '../../../packages/engine/src/sync/message.ts'
import { decodeRecalling, encodeRecalling, type ItemName } from '../../../packages/engine/src/sync/recall.ts'
import { Card, Lab, type Replica } from '../../road/lab.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { Spoken } from '../spoken.ts'
import { Street } from '../street.ts'
import { commitOf, hash } from '../target.ts'
import { boardOf, differing, edit, headsOf, offlineWindow, rules, shownBy } from './windows.ts'

const server = 'authority'

type Trick =
  | 'honest'
  | 'foreign'
  | 'missing'
  | 'extra'
  | 'stripped'
  | 'nothing'
  | 'silent'
  | 'too much'
  | 'borrowed'
  | 'fork'
  | 'questions'
const tricks: readonly Trick[] = [
  'missing',
  'stripped',
  'borrowed',
  'silent',
  'fork',
  'foreign',
  'extra',
  'nothing',
  'honest',
  'questions',
  'too much',
]

class Scene {
  readonly lab: Lab
  readonly street = new Street()
  readonly draws: Stream
  readonly replicas = new Map<string, Replica>()
  readonly said: Replica[] = []
  #words = 0

  constructor(name: string, seed: string) {
    this.lab = new Lab(`${seed} ${name}`)
    this.draws = stream(seed, name)
  }

  of(name: string): Replica {
    const replica = this.replicas.get(name)
    if (replica === undefined) throw new Error(`nobody is called ${name}`)
    return replica
  }

  board(name: string): Repository {
    return boardOf(this.of(name))
  }

  async enter(name: string, options: object = {}): Promise<void> {
    const transports = [this.street.transport(name)]
    const replica = await this.lab.start(name, { rules, ...options, transports })
    this.replicas.set(name, replica)
    this.said.push(replica)
    boardOf(replica)
  }

  async join(name: string, options: object = {}): Promise<void> {
    await this.enter(name, options)
    const { database } = this.of(name)
    this.street.connect(name, server)
    database.login(anonymous(name)).catch(() => undefined)
    await this.lab.until(() => database.session !== undefined && database.status.connection === 'online')
    await boardOf(this.of(name)).ready
  }

  async leave(name: string): Promise<void> {
    this.street.cut(name)
    const closing = this.of(name).database.close()
    await this.lab.run(200)
    await closing
  }

  async work(names: readonly string[], times: number): Promise<void> {
    for (let left = times; left > 0; left--) {
      const name = this.draws.pick(names)
      edit(this.of(name), this.draws, `${name}${this.#words++}`)
      await this.lab.run(this.draws.int(500))
    }
  }

  /** Opens and closes until what is due was dropped. */
  async drop(name: string): Promise<void> {
    for (let times = 0; times < 2; times++) {
      await this.leave(name)
      await this.enter(name, { offlineWindow })
      await this.board(name).ready
      await this.lab.run(6_000)
    }
  }
}

const commitsOf = ({ pipeline: { commits } }: Repository): Commit[] =>
  Array.from({ length: commits.size }, (_, index) => commits.at(index)).filter((one) => one !== undefined)

/** Speaks by hand to one of them, as a member who is there as well. */
const speak = async (scene: Scene, name: string, to: string): Promise<Spoken> => {
  const { lab, street } = scene
  const { database } = scene.of(name)
  const certificate = database.certificates.get(database.session?.id ?? '')
  const key = [...lab.device(name).keys.values()].find(
    (one: SigningKey) => certificate !== undefined && Buffer.from(one.publicKey).equals(certificate.publicKey),
  )
  if (certificate === undefined || key === undefined) throw new Error(`${name} has no certificate`)
  let spoken: Spoken | undefined
  const network = database.network ?? ''
  street.transport('by hand').start((channel) => {
    spoken = new Spoken(channel, { key, certificate }, { network })
  })
  street.connect('by hand', to)
  await lab.until(() => spoken?.isProved === true)
  if (spoken === undefined) throw new Error('there is no channel')
  await lab.run(200)
  spoken.subscribe(0, boardOf(scene.of(name)).path)
  await lab.run(200)
  spoken.send({ kind: 'sync', tag: 0, message: [0, new Uint8Array(fingerprintBytes), true, null] })
  await lab.run(500)
  return spoken
}

const pushed = (commits: readonly Commit[], certificates: readonly Uint8Array[] = []) => ({
  kind: 'sync' as const,
  tag: 0,
  message: encodeMessage({
    kind: 'push',
    round: 0,
    last: false,
    unknown: [],
    commits: commits.map(({ bytes }) => bytes),
    certificates,
  }),
})

/** What it was asked for the history of, and did not answer. */
const questionsTo = (spoken: Spoken, from = 0): { readonly number: number; readonly items: readonly ItemName[] }[] =>
  spoken.heard.slice(from).flatMap((frame) => {
    const asked = frame.kind === 'sync' ? decodeRecalling(frame.message) : undefined
    return asked !== undefined && !isRefusal(asked) && asked.kind === 'recall' ? [asked] : []
  })

/** `trials` attacks, of each kind in turn. */
export const floors: Row = async ({ trials, seed }) => {
  let [violations, asked, adopted, forks, bytes, heap] = [0, 0, 0, 0, 0, 0]
  const through: string[] = []
  for (let trial = 0; trial < trials; trial++) {
    const trick = tricks[trial % tricks.length] ?? 'honest'
    const scene = new Scene(`floors ${trial}`, seed)
    const { draws, lab, street } = scene
    const wrong: string[] = []
    let silent: Spoken | undefined
    await scene.enter(server, { authority: lab.authorityKey, logins: [anonymous()] })
    await scene.join('ada', { offlineWindow })
    for (const name of ['bob', 'mallory']) await scene.join(name)
    const all = ['ada', 'bob', 'mallory']
    await scene.work(all, 25)
    await lab.run(3_000)
    street.cut('bob')
    await lab.run(100)
    const late = (): Commit[] =>
      commitsOf(scene.board('bob')).filter(({ id }) => !scene.board(server).pipeline.commits.has(id))
    const [card] = scene.board('bob').query(Card).current ?? []
    if (card !== undefined) {
      card.notes.insert(0, 'late ')
      for (const tag of card.tags.values().slice(0, 1)) card.tags.delete(tag)
      card.tags.add('late')
    }
    await scene.work(['ada', 'mallory'], 15)
    for (const one of scene.board('mallory').query(Card).current ?? []) one.title = `later ${keyOf(one)}`
    await lab.run(offlineWindow * 2)
    // A checkpoint that is new says how far the old one went.
    await scene.drop('ada')
    if (!scene.board('ada').pipeline.commits.dropsAny) throw new Error('nothing was dropped')
    street.connect('ada', server)
    await lab.run(3_000)
    street.cut('ada')
    await lab.run(100)
    const before = shownBy(scene.board('ada'))
    const library = commitsOf(scene.board('mallory'))
    const dropped = library.filter(({ chain, seq }) => seq <= scene.board('ada').pipeline.commits.floorOf(chain))
    const { certificates } = scene.of('mallory').database
    const hers = scene.of('mallory').database
    const person = async () => {
      const certificate = certificates.get(hers.session?.id ?? '')
      const key = [...lab.device('mallory').keys.values()].find(
        (one) => certificate !== undefined && Buffer.from(one.publicKey).equals(certificate.publicKey),
      )
      if (certificate === undefined || key === undefined) throw new Error('mallory has no certificate')
      return { key, certificate, session: certificate.session }
    }
    const forged = async (change: Parameters<typeof commitOf>[3]): Promise<Commit> =>
      commitOf(hers, await person(), draws, { path: scene.board('mallory').path, ...change })
    const own = dropped.filter(({ session }) => session === hers.session?.id)

    if (trick === 'questions') {
      const spoken = await speak(scene, 'mallory', server)
      const items = [...scene.board(server).counting.items].flatMap(([schema, ofSchema]) =>
        [...ofSchema.keys()].map((key) => ({ schema, key })),
      )
      const heard = spoken.heard.length
      const most = 30_000
      for (let number = 0; number < most && spoken.closed === undefined; number++) {
        spoken.send({ kind: 'sync', tag: 0, message: encodeRecalling({ kind: 'recall', number, items }) })
        if (number % 500 === 0) await lab.run(5)
      }
      await lab.run(5_000)
      const given = spoken.heard.slice(heard).reduce((sum, one) => sum + one.bytes, 0)
      const all = library.reduce((sum, one) => sum + one.bytes.length, 0)
      bytes = Math.max(bytes, given)
      if (given > 2 * all + 16_777_216) wrong.push(`asked ${most} times it gave ${given} bytes of ${all}`)
      spoken.close()
      await lab.run(1_000)
    } else {
      const spoken = await speak(scene, 'mallory', 'ada')
      const witness = certificates.get(scene.of('bob').database.session?.id ?? '')
      const send = (commits: readonly Commit[]): void => {
        for (let at = 0; at < commits.length; at += 64)
          spoken.send(pushed(commits.slice(at, at + 64), witness ? [witness.bytes] : []))
      }
      if (trick === 'borrowed' || trick === 'fork') {
        const target = draws.pick(dropped)
        const key = target.changes[0]?.key ?? ''
        const other = dropped.find(({ changes }) => changes.every((one) => one.key !== key)) ?? target
        const made =
          trick === 'borrowed'
            ? await forged({
                draft: {
                  key,
                  parents: [other.id],
                  operations: [{ kind: 'assign', field: 'title', value: 'borrowed' }],
                },
              })
            : await forged({
                header: {
                  incarnation: own.at(-1)?.incarnation ?? '0'.repeat(16),
                  seq: own.at(-1)?.seq ?? 0,
                  prev: own.at(-1)?.prev ?? null,
                  clock: (own.at(-1)?.clock ?? 0) + 1,
                },
                draft: { key, parents: [], operations: [{ kind: 'assign', field: 'title', value: 'forked' }] },
              })
        send([made])
        await lab.run(2_000)
        const atServer = await speak(scene, 'mallory', server)
        atServer.send(pushed([made]))
        await lab.run(2_000)
        atServer.close()
      } else {
        send(late())
        await lab.run(500)
        const answered = new Set<number>()
        for (let left = 4; left > 0; left--) {
          const [question] = questionsTo(spoken).filter(({ number }) => !answered.has(number))
          if (question === undefined) break
          asked++
          answered.add(question.number)
          const { items, number } = question
          const named = (one: Commit): boolean => one.changes.some(({ key }) => items.some((item) => item.key === key))
          const history = library.filter(named)
          const [first] = items
          switch (trick) {
            case 'honest':
              send(history)
              break
            case 'foreign':
              send(library.filter((one) => !named(one)))
              break
            case 'missing': {
              const without = draws.pick(dropped.filter((one) => one.changes.some(({ key }) => key === first?.key)))
              send(history.filter(({ id }) => id !== without.id))
              break
            }
            case 'stripped': {
              const [victim] = dropped.filter((one) =>
                one.changes.some(({ key, operations }) => key === first?.key && operations.length > 0),
              )
              send(history.map((one) => (one.id === victim?.id ? stripCommit(one, () => true, hash) : one)))
              break
            }
            case 'extra': {
              const last = own.at(-1)
              const more = await forged({
                header: { incarnation: last?.incarnation ?? '', seq: 0, clock: (dropped[0]?.clock ?? 0) + 1 },
                draft: {
                  key: first?.key ?? '',
                  parents: [],
                  operations: [{ kind: 'assign', field: 'title', value: 'extra' }],
                },
              })
              send([more, ...history, more])
              break
            }
            case 'too much': {
              const last = own.at(-1)
              const filling = 'x'.repeat(60_000)
              globalThis.gc?.()
              const used = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
              for (let sent = 0; sent < limits.recalledBytes * 1.5; ) {
                const large = await forged({
                  header: { incarnation: last?.incarnation ?? '', seq: 0, clock: (dropped[0]?.clock ?? 0) + 1 },
                  draft: {
                    key: first?.key ?? '',
                    parents: [],
                    operations: [1, 2, 3, 4].map(() => ({ kind: 'assign', field: 'about', value: filling })),
                  },
                })
                sent += large.bytes.length
                spoken.send(pushed([large]))
                if (draws.chance(0.2)) await lab.run(1)
              }
              await lab.run(1_000)
              globalThis.gc?.()
              heap = Math.max(heap, process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers - used)
              break
            }
            default:
          }
          if (trick !== 'silent')
            spoken.send({ kind: 'sync', tag: 0, message: encodeRecalling({ kind: 'recalled', number, whole: true }) })
          await lab.run(3_000)
        }
        if (answered.size === 0) wrong.push('it asked for nothing')
      }
      const shown = shownBy(scene.board('ada'))
      const helps = trick === 'honest' || trick === 'extra'
      if (helps) {
        if ([...scene.board('ada').recalling.wanted].length > 0) wrong.push('what was answered was not taken')
        else adopted++
      } else for (const [key, value] of before) if (shown.get(key) !== value) wrong.push(`${key} changed`)
      if (trick === 'silent') silent = spoken
      else if (draws.chance(0.5)) spoken.close()
    }
    for (const name of all) street.connect(name, server)
    for (let left = 60_000; left > 0; left -= 5_000) {
      // It is there all the while, and says nothing.
      silent?.send({ kind: 'beat' })
      await lab.run(5_000)
    }
    const authority = scene.board(server)
    if (
      [...authority.pipeline.commits.heads()].some(({ chain }) => authority.pipeline.commits.headsOf(chain).length > 1)
    )
      forks++
    const judge = (name: string, when: string): void => {
      const repository = scene.board(name)
      const parts = differing(repository, authority)
      if (parts.length > 0) wrong.push(`${name} ${when} shows something else in ${parts.join()}`)
      // Of a branch beside what was dropped nobody tells who dropped it.
      if (trick !== 'fork' && headsOf(repository) !== headsOf(authority)) wrong.push(`${name} ${when} has other heads`)
      if (repository.counting.waiting.size > 0)
        wrong.push(`${name} ${when} has ${repository.counting.waiting.size} waiting`)
      if ([...repository.recalling.wanted].length > 0) wrong.push(`${name} ${when} still asks`)
    }
    for (const name of all) judge(name, 'at the end')
    await scene.leave('ada')
    await scene.enter('ada', { offlineWindow })
    await scene.board('ada').ready
    judge('ada', 'alone')
    for (const { name, incidents } of scene.said)
      for (const { code, about } of incidents)
        if (code === 'Fault' || code === 'LogCorrupt') wrong.push(`${name} says ${code} ${about}`)
    if (wrong.length > 0) {
      violations++
      if (through.length < 12) through.push(`${trial} ${trick}: ${[...new Set(wrong)].slice(0, 6).join('; ')}`)
    }
    for (const name of scene.replicas.keys()) await scene.leave(name)
  }
  mustHold(
    trials < tricks.length || (asked > 0 && adopted > 0),
    `${asked} questions, ${adopted} histories taken`,
    violations,
  )
  return { trials, violations, asked, adopted, forks, bytes, heap, through: through.join('\n') }
}
