/**
 * Row C11: some drop history that is older than their offline window, others were away for longer than that and have written on top of it, and
 * nobody is told when which of it happens. What anybody made has to be in everybody's value, and nothing else.
 */
import { anonymous, type Item, keyOf, type Repository, type Rules, read, write } from '@weft-db/engine'
import { valuesOf } from '../../../packages/engine/src/merge/values.ts'
import { board, Card, Lab, type Replica } from '../../road/lab.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { Street } from '../street.ts'

export const rules: Rules = [
  read('/board/:id', () => true),
  write('/board/:id', ({ after }) => (after?.title !== 'forbidden' ? true : 'not that')),
]
/** Of whoever writes what the others refuse. */
const lax: Rules = [read('/board/:id', () => true), write('/board/:id', () => true)]

export const offlineWindow = 60_000
const server = 'authority'
const keys = ['one', 'two', 'three', 'four', 'five', 'six']

export const boardOf = ({ database }: Replica): Repository => database.repository(board)

/** By key, what each item is. */
export const shownBy = (repository: Repository): Map<string, string> =>
  new Map(
    [...repository.counting.items.values()].flatMap((ofSchema) =>
      [...ofSchema].map(([key, item]) => [key, JSON.stringify(valuesOf(item.value(), item.schema))] as const),
    ),
  )

export const headsOf = (repository: Repository): string =>
  [...repository.pipeline.commits.heads()]
    .map(({ id }) => id)
    .sort()
    .join()

/** What one of them has and the other has not. */
export const differing = (one: Repository, other: Repository): string[] => {
  const [shown, others] = [shownBy(one), shownBy(other)]
  return [...new Set([...shown.keys(), ...others.keys()])].filter((key) => shown.get(key) !== others.get(key))
}

/** One edit of any kind, somewhere. */
export const edit = (replica: Replica, draws: Stream, word: string): void => {
  const repository = boardOf(replica)
  const key = draws.pick(keys)
  const [kind, place, value] = [draws.int(18), draws.unit(), draws.int(9)]
  const card = repository.item(Card, key)
  if (card === undefined) return
  if (card === null) {
    repository.create(Card, { title: word, points: value, tags: [word] }, { key })
    return
  }
  const text = kind % 2 === 0 ? card.notes : card.more
  const at = Math.floor(place * (text.length + 1))
  switch (kind) {
    case 0:
    case 1:
    case 2:
      text.insert(at, `${word} `)
      break
    case 3:
    case 4:
      if (text.length > 2) text.remove(Math.min(at, text.length - 2), 2)
      break
    case 5:
    case 6:
      card.tags.add(draws.chance(0.5) ? 'same' : word)
      break
    case 7:
    case 8:
      for (const tag of card.tags.values().slice(0, 1 + (value % 2))) card.tags.delete(tag)
      break
    case 9:
      card.votes.set(draws.chance(0.5) ? 'same' : word, value)
      break
    case 10:
      for (const vote of card.votes.keys().slice(0, 1)) card.votes.delete(vote)
      break
    case 11:
    case 12:
      repository.delete(card)
      break
    case 13:
      card.title = draws.chance(0.3) ? 'forbidden' : word
      break
    case 14:
      card.done = !card.done
      card.about = word
      break
    case 15:
      card.points = value
      card.due = new Date(1_700_000_000_000 + value)
      break
    default:
      try {
        repository.transact(() => {
          for (const one of repository.query(Card).current ?? [])
            if (keyOf(one) < key) (one as Item<typeof Card>).points = value
          card.notes.insert(0, word)
        })
      } catch {
        // The rules are asked before anything is written.
      }
  }
}

interface Seen {
  readonly wrong: string[]
  /** Openings by a log that begins with a floor; chains' histories that came back; people who had dropped something at the end; and kills. */
  dropped: number
  recalled: number
  late: number
  killed: number
}

/** One schedule. */
export const schedule = async (seed: string, trial: number): Promise<Seen> => {
  const seen: Seen = { wrong: [], dropped: 0, recalled: 0, late: 0, killed: 0 }
  const { wrong } = seen
  const draws = stream(seed, `windows ${trial}`)
  const lab = new Lab(`${seed} windows ${trial}`)
  const street = new Street()
  const people = ['ada', 'bob', 'cara', 'dora', 'eve'].slice(0, 3 + draws.int(3))
  const all = [server, ...people]
  const hasWindow = new Map(people.map((name, place) => [name, place === 0 || (place > 1 && draws.chance(0.4))]))
  /** The last one writes what rules forbid, now and then. */
  const isLax = (name: string): boolean => name === people.at(-1) && trial % 3 === 0
  const replicas = new Map<string, Replica>()
  const of = (name: string): Replica => {
    const replica = replicas.get(name)
    if (replica === undefined) throw new Error(`nobody is called ${name}`)
    return replica
  }
  const said: { readonly name: string; readonly incidents: Replica['incidents'] }[] = []
  const enter = async (name: string): Promise<void> => {
    const options =
      name === server
        ? { authority: lab.authorityKey, logins: [anonymous()], rules }
        : { rules: isLax(name) ? lax : rules, ...(hasWindow.get(name) === true && { offlineWindow }) }
    const replica = await lab.start(name, { ...options, transports: [street.transport(name)] })
    replicas.set(name, replica)
    said.push(replica)
    boardOf(replica)
  }
  for (const name of all) {
    await enter(name)
    street.connect(name, server)
    if (name === server) continue
    const login = of(name).database.login(anonymous(name))
    login.catch(() => undefined)
    await lab.until(() => of(name).database.session !== undefined && of(name).database.status.connection === 'online')
    await boardOf(of(name)).ready
  }
  await lab.run(500)
  /** Commits that their authors had stored, which they may not lose. */
  const made = new Map<string, string>()
  const note = (name: string, { pipeline } = boardOf(of(name))): void => {
    const session = of(name).database.session?.id
    for (let index = pipeline.commits.size - 1; index >= 0; index--) {
      const id = pipeline.commits.idAt(index) ?? ''
      if (made.has(id)) break
      if (pipeline.commits.row(id)?.session === session) made.set(id, name)
    }
  }
  const leave = async (name: string, kills: boolean): Promise<void> => {
    const repository = boardOf(of(name))
    note(name)
    street.cut(name)
    if (kills) {
      seen.killed++
      lab.kill(name)
      return
    }
    const closing = of(name).database.close()
    await lab.run(200)
    await closing
    note(name, repository)
  }
  const again = async (name: string, kills: boolean): Promise<void> => {
    await leave(name, kills)
    await lab.run(draws.int(500))
    await enter(name)
    await boardOf(of(name)).ready
    if (boardOf(of(name)).pipeline.commits.dropsAny) seen.dropped++
  }
  let words = 0
  let isServerHere = true
  const phases = 4 + draws.int(4)
  for (let phase = 0; phase < phases; phase++) {
    isServerHere = phase === 0 || draws.chance(0.75)
    const away = people.filter(() => draws.chance(0.35))
    for (const name of people) {
      street.cut(name)
      if (isServerHere && !away.includes(name)) street.connect(name, server)
    }
    for (const [place, name] of people.entries())
      for (const other of people.slice(0, place))
        if (draws.chance(isServerHere ? 0.15 : 0.5)) street.connect(name, other)
    for (let left = 4 + draws.int(12); left > 0; left--) {
      const name = draws.pick(people)
      edit(of(name), draws, `${name}${words++}`)
      if (draws.chance(0.5)) boardOf(of(name)).flush()
      await lab.run(draws.int(700))
      if (draws.chance(0.05)) await again(name, true)
    }
    const isLong = phase === 0 || draws.chance(0.5)
    await lab.run(isLong ? offlineWindow * (1 + draws.unit()) : draws.int(15_000))
    for (const name of people) {
      if (hasWindow.get(name) !== true || !draws.chance(isLong ? 0.8 : 0.3)) continue
      await again(name, draws.chance(0.2))
      // Sometimes it is to be compacted before it closes again, and sometimes what it does is cut short.
      await lab.run(draws.chance(0.7) ? 6_000 : 1_000 + draws.int(2_500))
      await again(name, draws.chance(0.3))
      if (isServerHere && draws.chance(0.5)) street.connect(name, server)
    }
  }
  for (const name of people) {
    street.cut(name)
    const { floors } = boardOf(of(name)).pipeline.commits
    if (floors.size > 0) seen.late++
  }
  for (const name of draws.shuffle(people)) {
    street.connect(name, server)
    await lab.run(draws.int(3_000))
  }
  await lab.run(30_000)
  for (const name of people) note(name)
  const authority = boardOf(of(server))
  const judge = (name: string, when: string): void => {
    const repository = boardOf(of(name))
    const parts = isLax(name) ? [] : differing(repository, authority)
    if (parts.length > 0) wrong.push(`${name} ${when} shows something else in ${parts.join()}`)
    if (headsOf(repository) !== headsOf(authority)) wrong.push(`${name} ${when} has other heads`)
    if (repository.counting.waiting.size > 0)
      wrong.push(`${name} ${when} has ${repository.counting.waiting.size} waiting`)
    if ([...repository.recalling.wanted].length > 0) wrong.push(`${name} ${when} still asks`)
  }
  for (const name of people) judge(name, 'at the end')
  for (const [id, name] of made)
    if (!authority.pipeline.commits.has(id)) wrong.push(`what ${name} made is lost: ${id.slice(0, 8)}`)
  for (const { name, incidents } of said) {
    seen.recalled += incidents.filter(({ code }) => code === 'HistoryDropped').length
    const bad = incidents.find(({ code }) => unexpected.has(code))
    if (bad !== undefined) wrong.push(`${name} says ${bad.code} ${bad.about}`)
  }
  // Whoever opens the repository alone finds the same.
  for (const name of people) {
    if (hasWindow.get(name) !== true) continue
    await again(name, draws.chance(0.5))
    judge(name, 'alone')
  }
  for (const name of all) await leave(name, false)
  return seen
}

/** `trials` schedules. `violations` counts those in which somebody shows something else than the authority, or something made is nowhere. */
export const windows: Row = async ({ trials, seed }) => {
  let [violations, dropped, recalled, late, killed] = [0, 0, 0, 0, 0]
  const through: string[] = []
  for (let trial = 0; trial < trials; trial++) {
    const seen = await schedule(seed, trial)
    dropped += seen.dropped
    recalled += seen.recalled
    late += seen.late
    killed += seen.killed
    if (seen.wrong.length === 0) continue
    violations++
    if (through.length < 5) through.push(`${trial}: ${seen.wrong.slice(0, 6).join('; ')}`)
  }
  mustHold(
    dropped > trials / 2 && recalled > 0,
    `history was dropped ${dropped} times, recalled ${recalled}`,
    violations,
  )
  return { trials, violations, dropped, recalled, late, killed, through: through.join('\n') }
}

/** What nobody honest brings about. */
const unexpected: ReadonlySet<string> = new Set([
  'Fault',
  'LogCorrupt',
  'BadParents',
  'BrokenChain',
  'ChainForked',
  'TooLarge',
  'BadSignature',
  'MissingParents',
])
