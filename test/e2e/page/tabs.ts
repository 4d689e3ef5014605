/** The page of the tabs tests: the app's database as a browser gets it, in as many tabs as the test opens. */
import { opfsFiles } from '@weft-db/storage/opfs'
import { awake, fallAsleep, standInLine } from '@weft-db/storage/weblock'
import { anonymous, type Database, open, type Repository, saved, savedState, schema, string, text } from '@weft-db/weft'

const Card = schema('card', 1, { notes: text() })
/** So long a tab may take to have what another one wrote, ms. */
const settling = 15_000
const fields = { words: string() }

let database: Database | undefined
let board: Repository | undefined
const rejected: string[] = []
const waits: number[] = []
const given: string[] = []
let letGo = (): void => undefined
const incidents: string[] = []
const started = (): { database: Database; board: Repository } => {
  if (database === undefined || board === undefined) throw new Error('the app was not started')
  return { database, board }
}
const cards = () => started().board.query(Card).current ?? []

const stand = {
  /** Opens the app; resolves when what this device holds of the board is shown. */
  start: async (path: string): Promise<string> => {
    database = open({ schemas: [Card], name: 'tabs', mesh: 'off' })
    database.onRejected(({ code }) => void rejected.push(code))
    database.onIncident(({ code, about }) => void incidents.push(`${code} ${about}`))
    database.onStatus(({ unacknowledged }) => void waits.push(unacknowledged))
    board = database.repository(path)
    await database.opened
    return database.status.storage
  },
  ready: async (): Promise<void> => started().board.ready,
  login: async (name: string): Promise<string> => started().database.login(anonymous(name)),
  logout: (discard: boolean): Promise<void> => started().database.logout({ discard }),
  session: () => started().database.session,
  close: (): Promise<void> => started().database.close(),
  /** Whether another tab leads. */
  isBehind: (): boolean => started().database.isBehind,
  status: () => started().database.status,
  disconnect: (): Promise<void> => started().database.disconnect(),
  connect: (): void => started().database.connect(),
  create: (notes: string): void => void started().board.create(Card, { notes }),
  /** Resolves when it is saved so far. */
  write: (notes: string, level: 'local' | 'authority'): Promise<void> =>
    saved(started().board.create(Card, { notes }), level),
  append: (notes: string, more: string): void => {
    const card = cards().find((one) => one.notes.toString() === notes)
    card?.notes.insert(card.notes.length, more)
  },
  notes: (): string[] =>
    cards()
      .map(({ notes }) => notes.toString())
      .sort(),
  /** What is shown once all of that is, and at the server; or what is shown when the time is over. */
  settled: async (wanted: readonly string[]): Promise<string[]> => {
    const { runtime } = started().database
    const isSettled = (): boolean => {
      const { unsaved, unacknowledged } = started().database.status
      const shown = new Set(stand.notes())
      return unsaved + unacknowledged === 0 && wanted.every((text) => shown.has(text))
    }
    for (const began = runtime.elapsed(); !isSettled() && runtime.elapsed() - began < settling; )
      await new Promise<void>((resolve) => void runtime.timer(20, resolve))
    return stand.notes()
  },
  states: (): string[] =>
    cards()
      .map((card) => savedState(card))
      .sort(),
  /** Says something to whoever is on the board. */
  say: (words: string): void => started().board.presence(fields).set({ words }),
  /** What the others say. */
  heard: (): (string | undefined)[] =>
    started()
      .board.presence(fields)
      .others.map(({ state }) => state.words),
  connections: (): number => started().database.connections,
  evidence: async (): Promise<string[]> => (await started().database.evidence()).map(({ name }) => name),
  /** Puts a file into the store, while no tab has it. */
  plant: async (name: string): Promise<void> => {
    const files = opfsFiles('tabs')
    const release = await files.lock()
    const file = await files.open(name, true)
    await file?.write(0, Uint8Array.of(1))
    await file?.sync()
    await files.syncNames()
    await release()
  },
  /** Asks for the lock in the moment in which the page is frozen. */
  askAsItFreezes: (name: string): void => {
    const ask = (): void => {
      const waiting = new AbortController()
      standInLine(name, waiting.signal, async () => void given.push(name)).catch(() => undefined)
      waiting.abort()
      fallAsleep()
    }
    // Before the database is told.
    document.addEventListener('freeze', ask, { capture: true })
  },
  /** Resolves when the page has the lock, which it keeps. */
  hold: async (name: string): Promise<void> => {
    await awake()
    await new Promise<void>((resolve, reject) => {
      const held = (): Promise<void> => {
        resolve()
        return new Promise((end) => {
          letGo = end
        })
      }
      standInLine(name, new AbortController().signal, held).catch(reject)
    })
  },
  letGo: (): void => letGo(),
  /** The locks of the browser as the page finds them once it woke. */
  locksAwake: (): Promise<(string | undefined)[]> =>
    new Promise((resolve, reject) => {
      const look = async (): Promise<(string | undefined)[]> => {
        await awake()
        const { held = [] } = await navigator.locks.query()
        return held.map(({ name }) => name)
      }
      document.addEventListener('resume', () => void look().then(resolve, reject), { once: true })
    }),
  /** Resolves when the page has looked so often at who has which lock. */
  looks: (count: number): Promise<void> =>
    new Promise((resolve) => {
      const { locks } = navigator
      const query = locks.query.bind(locks)
      let looks = 0
      locks.query = () => {
        looks++
        if (looks === count) resolve()
        return query()
      }
    }),
  /** Locks that the page got although it had given up asking. */
  given: (): readonly string[] => given,
  rejected: (): readonly string[] => rejected,
  /** How many changes were told to wait for the server, since that was asked last. */
  waits: (): readonly number[] => waits.splice(0),
  incidents: (): readonly string[] => incidents,
  again: (path: string): void => {
    board = started().database.repository(path)
  },
}
declare global {
  var tabs: typeof stand
}
globalThis.tabs = stand
