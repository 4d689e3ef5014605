/** Rows E1 to E4: what a member of the mesh gives away to its neighbours, and what it begins because of them. */
import { fingerprintBytes } from '../../../packages/engine/src/sync/fingerprint.ts'
import { Card } from '../../road/lab.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { Company, hall } from '../company.ts'
import { mustHold, type Row } from '../row.ts'
import type { Heard, Spoken } from '../spoken.ts'

/** Boards of the member's own. */
const boards = 50

const keepBoards = async (company: Company, names: readonly string[]): Promise<void> => {
  for (const name of names) company.member.database.repository(name).create(Card, { title: `secret of ${name}` })
  await company.lab.run(3_000)
}

/** What concerns everybody alike. */
const general: ReadonlySet<Heard['kind']> = new Set(['beat', 'neighbours', 'members', 'root', 'ping', 'pong', 'signal'])

const answersFrom = (spoken: Spoken, from: number): readonly Heard[] =>
  spoken.heard.slice(from).filter(({ kind }) => !general.has(kind))

/** An answer without the name it is about. */
const shapeOf = (answers: readonly Heard[], names: readonly string[]): string =>
  answers
    .map((answer) =>
      answer.kind === 'refused'
        ? `${answer.code} ${names.includes(answer.about) ? 'it' : answer.about}`
        : `${answer.kind} ${answer.bytes}`,
    )
    .join()

/** Ways to ask, each with a number for the repository; all must be answered as if there were none. */
const asks: readonly ((spoken: Spoken, tag: number, path: string, random: Stream) => void)[] = [
  (spoken, tag, path) => spoken.subscribe(tag, path),
  // The name twice, and the number twice: what waits for a repository might show.
  (spoken, tag, path) => {
    spoken.subscribe(tag, path)
    spoken.subscribe(tag, path)
  },
  (spoken, tag, path) => {
    spoken.subscribe(tag, path)
    spoken.subscribe(tag + 1, path)
  },
  // Reconciliation as if it had been let in.
  (spoken, tag, path) => {
    spoken.subscribe(tag, path)
    spoken.send({ kind: 'sync', tag, message: [0, new Uint8Array(fingerprintBytes), true, null] })
    spoken.send({ kind: 'sync', tag, message: [6, 1, new Uint8Array(fingerprintBytes), 0, null] })
  },
  (spoken, tag, path, random) => {
    spoken.subscribe(tag, path)
    spoken.send({ kind: 'sync', tag, message: [13, random.bytes(64)] })
    spoken.send({ kind: 'sync', tag, message: [15, random.bytes(64)] })
    spoken.send({ kind: 'unsubscribe', tag })
  },
]

/**
 * E1: `trials` pairs of a neighbour and a repository that it may not read, or that does not exist. A violation is a byte of one, its name said
 * first, or an answer that tells the two apart.
 */
export const foreign: Row = async ({ trials, seed }) => {
  const company = await Company.open(`${seed} E1`)
  const { lab } = company
  const random = stream(seed, 'E1')
  const secret = Array.from({ length: boards }, (_, index) => `/board/s${index}`)
  await keepBoards(company, secret)
  const absent = secret.map((_, index) => `/board/n${index}`)
  let [violations, first, tried, named, shared] = [0, '', 0, 0, 0]
  const shapes = new Map<number, string>()
  const violated = (what: string): void => {
    violations++
    first ||= what
  }
  while (tried < trials) {
    const speaker = await company.person()
    const server = await company.online(speaker, [hall])
    const straight = await company.neighbour(speaker, server)
    if (straight.heard.some((frame) => frame.kind === 'subscribe' && frame.path === hall)) shared++
    for (const path of random.shuffle([...secret, ...absent]).slice(0, trials - tried)) {
      const way = random.int(asks.length)
      const from = straight.heard.length
      asks[way]?.(straight, 10, path, random)
      await lab.run(5)
      const answers = answersFrom(straight, from)
      const shape = shapeOf(answers, [path])
      if (answers.some(({ kind }) => kind !== 'refused')) violated(`${path}: ${shape}`)
      const expected = shapes.get(way) ?? shape
      shapes.set(way, expected)
      if (shape !== expected || shape === '') violated(`way ${way}: ${path} ${shape}, others ${expected}`)
      tried++
      if (straight.closed === undefined) continue
      mustHold(false, `it was closed: ${straight.closed}`, violations)
      return { trials: tried, violations, first, named }
    }
    for (const frame of straight.heard)
      if ('path' in frame && frame.path !== hall) {
        named++
        violated(`${frame.kind} ${frame.path}`)
      }
    straight.close()
    server.close()
    await lab.run(50)
  }
  mustHold(shared > 0, 'no neighbour was offered what it may read', violations)
  return { trials: tried, violations, first, named }
}

const guessesAtOnce = 400

/** Guesses names, some of which exist, and counts the answers that are not what a name that does not exist is answered. */
const guess = async (
  company: Company,
  spoken: Spoken,
  { count, existing, pause }: { count: number; existing: readonly string[]; pause: number },
): Promise<{ learnt: number; first: string }> => {
  let [learnt, first] = [0, '']
  for (let done = 0; done < count; done += guessesAtOnce) {
    const guessed = Array.from({ length: Math.min(guessesAtOnce, count - done) }, (_, index) => {
      const number = done + index
      const known = number % 50 === 49 ? existing[number % existing.length] : undefined
      return known ?? `/board/g${number.toString(36)}`
    })
    spoken.heard.length = 0
    for (const name of guessed) spoken.subscribe(7, name)
    await company.lab.run(pause)
    const answers = answersFrom(spoken, 0)
    const expected = guessed.map((name) => `UnknownRepository ${name}`)
    const said = answers.map((answer) => (answer.kind === 'refused' ? `${answer.code} ${answer.about}` : answer.kind))
    for (const [index, answer] of said.entries())
      if (answer !== expected[index]) {
        learnt++
        first ||= `${answer} instead of ${expected[index]}`
      }
    if (said.length !== expected.length) learnt++
    if (spoken.closed !== undefined) throw new Error(`it was closed: ${spoken.closed}`)
  }
  return { learnt, first }
}

/** Seeks of somebody who shares nothing, one a second, and sessions it names to the carriers at random or knows. */
const seeks = 20

/**
 * E2: `trials` names guessed of the member over a channel of the mesh, and a twentieth as many of the server, some of them of repositories that
 * exist; introductions sought, and signals sent, by those who share nothing. A violation is an answer of another kind, a name that was not
 * asked for, or somebody met.
 */
export const guessing: Row = async ({ trials, seed }) => {
  const company = await Company.open(`${seed} E2`)
  const { lab, member } = company
  const existing = Array.from({ length: boards }, (_, index) => `/board/${index.toString(36)}`)
  await keepBoards(company, existing)
  const [private0 = ''] = existing
  const [guest, friend, outsider] = [await company.person(), await company.person(), await company.person()]
  const invite = member.database.repository(private0).grant(friend.certificate.owner, 'viewer')
  await lab.run(1_000)
  await invite
  const guestServer = await company.online(guest, [hall])
  const friendServer = await company.online(friend, [private0])
  const outsiderServer = await company.online(outsider, [])
  const guestStraight = await company.neighbour(guest, guestServer)
  const friendStraight = await company.neighbour(friend, friendServer)
  friendStraight.subscribe(0, private0)
  guestStraight.subscribe(0, hall)
  for (const spoken of [guestServer, friendServer, outsiderServer]) spoken.send({ kind: 'seek', count: 64, met: [] })
  await lab.run(500)
  const carried = (spoken: Spoken): number => spoken.heard.filter(({ kind }) => kind === 'signal').length
  const friends = carried(friendStraight) + carried(friendServer)
  let met = 0
  const introduced = (spoken: Spoken): readonly string[] =>
    spoken.heard.flatMap((frame) => (frame.kind === 'members' ? frame.sessions : []))
  mustHold(introduced(guestServer).includes(company.session), 'readers are not introduced', 0)
  // Neither by the member nor by the server: the guest and the friend share nothing, and the outsider with nobody anything.
  for (let round = 0; round < seeks; round++) {
    for (const to of [friend.certificate.session, company.session]) {
      const signal = await company.signal(outsider, { to })
      outsiderServer.send({ kind: 'carry', session: to, signal })
    }
    const signal = await company.signal(guest, { to: friend.certificate.session })
    guestStraight.send({ kind: 'carry', session: friend.certificate.session, signal })
    guestServer.send({ kind: 'carry', session: friend.certificate.session, signal })
    outsiderServer.send({ kind: 'seek', count: 64, met: [] })
    guestServer.send({ kind: 'seek', count: 64, met: [] })
    await lab.run(1_100)
  }
  const known = new Set([...introduced(outsiderServer), ...introduced(guestServer)])
  met += [...known].filter((session) => session !== company.session).length
  met += introduced(outsiderServer).length
  met += carried(friendStraight) + carried(friendServer) - friends
  const named = [guestStraight, friendStraight].flatMap(({ heard }) =>
    heard.flatMap((frame) => ('path' in frame ? [frame.path] : [])),
  )
  const foreignNames = named.filter((path) => path !== hall && path !== private0).length
  mustHold(named.includes(private0) && named.includes(hall), 'nobody was offered anything', met)
  const straight = await guess(company, guestStraight, { count: trials, existing, pause: 5 })
  const count = Math.ceil(trials / 20)
  const server = await guess(company, guestServer, { count, existing, pause: 1_000 })
  return {
    trials: trials + count,
    violations: straight.learnt + server.learnt + met + foreignNames,
    first: straight.first || server.first,
    met,
    foreignNames,
  }
}
