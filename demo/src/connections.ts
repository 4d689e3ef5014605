/**
 * Who this person works with just now, and by which way what they write goes to and fro: what the mesh tells of its paths, joined with
 * who is on the board.
 */
import { type Diagnosis, diagnose, type Path } from '@weft-db/weft'

/** `others`: over whoever has a channel to both, or to this device and the server, while the server is away here. */
export type Way = 'direct' | 'relayed' | 'connecting' | 'server' | 'others' | 'none'

export interface Person {
  readonly session: string
  readonly name: string
  readonly way: Way
  /** Name of the person in between, where one is known. */
  readonly through: string | undefined
  /** ms */
  readonly roundTrip: number | undefined
  /** Undefined where there is no channel whose two ends could compare. */
  readonly isLevel: boolean | undefined
  /** Why there is no channel straight to them. */
  readonly diagnosis: Diagnosis | undefined
}

export interface Sight {
  readonly paths: readonly Path[]
  /** Who is on the board. */
  readonly here: readonly { readonly session: string; readonly name: string }[]
  readonly neighbours: ReadonlyMap<string, readonly string[]>
  /** The server is connected. */
  readonly hasServer: boolean
}

export const isOpen = ({ kind }: Pick<Path, 'kind'>): boolean => kind === 'direct' || kind === 'relayed'

/** Everybody who is on the board or has a channel to this device, in an order that does not change with what happens. */
export const peopleOf = ({ paths, here, neighbours, hasServer }: Sight): Person[] => {
  const pathOf = new Map(paths.map((path) => [path.session, path]))
  const names = new Map(here.map(({ session, name }) => [session, name]))
  for (const path of paths) if (isOpen(path)) names.set(path.session, path.name)
  const wayTo = (session: string, path: Path | undefined): Pick<Person, 'way' | 'through'> => {
    if (path !== undefined && path.kind !== 'none') return { way: path.kind, through: undefined }
    if (hasServer) return { way: 'server', through: undefined }
    const open = paths.filter(isOpen)
    const between = open.find((other) => neighbours.get(other.session)?.includes(session))
    return { way: open.length > 0 ? 'others' : 'none', through: between?.name }
  }
  return [...names]
    .map(([session, name]) => {
      const path = pathOf.get(session)
      return {
        session,
        name,
        ...wayTo(session, path),
        roundTrip: path !== undefined && isOpen(path) ? path.roundTrip : undefined,
        isLevel: path !== undefined && isOpen(path) ? path.isLevel : undefined,
        diagnosis: path && diagnose(path),
      }
    })
    .sort((a, b) => (a.session < b.session ? -1 : 1))
}

/** Channels among others, each once, as far as neighbours tell of them. */
export const channelsAmong = (
  people: readonly Pick<Person, 'session'>[],
  neighbours: ReadonlyMap<string, readonly string[]>,
): (readonly [session: string, other: string])[] => {
  const shown = new Set(people.map(({ session }) => session))
  const channels = new Map<string, readonly [string, string]>()
  for (const [session, others] of neighbours) {
    for (const other of others) {
      if (other === session || !shown.has(session) || !shown.has(other)) continue
      const [first, second] = session < other ? [session, other] : [other, session]
      channels.set(`${first} ${second}`, [first, second])
    }
  }
  return [...channels.values()]
}

export const wordsOf = ({ way, through }: Pick<Person, 'way' | 'through'>): string => {
  switch (way) {
    case 'direct':
      return 'Connected directly'
    case 'relayed':
      return 'Connected over a relay'
    case 'connecting':
      return 'Connecting…'
    case 'server':
      return 'Through the server'
    case 'others':
      return `Through ${through ?? 'the others'}`
    case 'none':
      return 'Not connected'
  }
}

/** "12 ms", "under 1 ms", "1.2 s". */
export const timeOf = (roundTrip: number): string => {
  if (roundTrip < 1) return 'under 1 ms'
  return roundTrip < 1_000 ? `${Math.round(roundTrip)} ms` : `${(roundTrip / 1_000).toFixed(1)} s`
}

/** "3 people connected directly" */
export const countOf = (direct: number): string =>
  direct === 0 ? 'nobody connected directly' : `${direct} ${direct === 1 ? 'person' : 'people'} connected directly`
