/**
 * The attack catalogue as a table: which function attacks for a row, how much in a sample of seconds and how much in full. What the number
 * counts (attacks, commits, schedules, texts) the function says. Rows with a letter and a number are those of the threat model; those with a
 * word are laws that no single attack stands for.
 */
import type { Row } from './row.ts'

export interface Entry {
  readonly harness: string
  /** The function is loaded when its row is run. */
  readonly load: () => Promise<Row>
  readonly sample: number
  readonly full: number
}

const from =
  <Rows>(file: string, load: () => Promise<Rows>) =>
  (pick: (rows: Rows) => Row, sample: number, full: number): Entry => ({
    harness: `test/attacks/rows/${file}.ts`,
    load: async () => pick(await load()),
    sample,
    full,
  })

const identity = from('identity', () => import('./rows/identity.ts'))
const contexts = from('contexts', () => import('./rows/contexts.ts'))
const signatures = from('signatures', () => import('./rows/signatures.ts'))
const certificates = from('certificates', () => import('./rows/certificates.ts'))
const authorization = from('authorization', () => import('./rows/authorization.ts'))
const rules = from('rules', () => import('./rows/rules.ts'))
const clocks = from('clocks', () => import('./rows/clocks.ts'))
const revocation = from('revocation', () => import('./rows/revocation.ts'))
const fuzz = from('fuzz', () => import('./rows/fuzz.ts'))
const bombs = from('bombs', () => import('./rows/bombs.ts'))
const graph = from('graph', () => import('./rows/graph.ts'))
const transport = from('transport', () => import('./rows/transport.ts'))
const edge = from('edge', () => import('./rows/edge.ts'))
const demo = from('demo', () => import('./rows/demo.ts'))
const erasure = from('erasure', () => import('./rows/erasure.ts'))
const orders = from('orders', () => import('./rows/orders.ts'))
const sync = from('sync', () => import('./rows/sync.ts'))
const mesh = from('mesh', () => import('./rows/mesh.ts'))
const withdrawal = from('withdrawal', () => import('./rows/withdrawal.ts'))
const signals = from('signals', () => import('./rows/signals.ts'))
const sdp = from('sdp', () => import('./rows/sdp.ts'))
const middlemen = from('middlemen', () => import('./rows/middlemen.ts'))
const pipes = from('pipes', () => import('./rows/pipes.ts'))
const phantoms = from('phantoms', () => import('./rows/phantoms.ts'))
const recovery = from('recovery', () => import('./rows/recovery.ts'))
const windows = from('windows', () => import('./rows/windows.ts'))
const floors = from('floors', () => import('./rows/floors.ts'))
const eclipse = from('eclipse', () => import('./rows/eclipse.ts'))

export const catalogue: Readonly<Record<string, Entry>> = {
  A1: identity((rows) => rows.flips, 1, 50),
  A2: identity((rows) => rows.authors, 500, 10_000),
  A3: identity((rows) => rows.fields, 2, 100),
  A4: contexts((rows) => rows.replays, 2, 100),
  A5: signatures((rows) => rows.wycheproof, 3, 4),
  A6: fuzz((rows) => rows.canonical, 6_000, 1_000_000),
  A7: identity((rows) => rows.collisions, 1, 20),
  A8: certificates((rows) => rows.wrong, 3, 100),
  A9: certificates((rows) => rows.possession, 60, 1_000),
  B1: authorization((rows) => rows.noRule, 40, 2_000),
  B2: authorization((rows) => rows.fieldsOfRoles, 300, 10_000),
  B3: authorization((rows) => rows.evilMerges, 240, 10_000),
  B4: authorization((rows) => rows.races, 30, 10_000),
  B5: authorization((rows) => rows.expired, 300, 10_000),
  B6: revocation((rows) => rows.backdating, 8, 10_000),
  B7: clocks((rows) => rows.clocks, 300, 10_000),
  B8: revocation((rows) => rows.equivocation, 6, 1_000),
  B9: revocation((rows) => rows.withheld, 20, 2_000),
  B10: rules((rows) => rows.paths, 2_000, 100_000),
  B11: rules((rows) => rows.faulty, 60, 5_000),
  C1: graph((rows) => rows.orphans, 4_000, 1_000_000),
  C2: graph((rows) => rows.ancestry, 4, 1_000),
  C3: fuzz((rows) => rows.heads, 2_000, 10_000),
  C4: graph((rows) => rows.storms, 3, 200),
  C5: fuzz((rows) => rows.orders, 50, 100_000),
  C6: bombs((rows) => rows.bombs, 500, 100_000),
  C7: transport((rows) => rows.bombs, 16, 1_000),
  C8: fuzz((rows) => rows.poisoned, 600, 100_000),
  C9: graph((rows) => rows.schemas, 3, 1_000),
  C10: fuzz((rows) => rows.prototypes, 6_000, 1_000_000),
  C11: windows((rows) => rows.windows, 6, 1_000),
  D1: sync((rows) => rows.filters, 5_000, 1_000_000),
  D2: sync((rows) => rows.mining, 200, 1_000),
  D3: sync((rows) => rows.rounds, 150, 100_000),
  D4: sync((rows) => rows.amplification, 600, 30_000),
  D5: sync((rows) => rows.work, 1_000, 10_000),
  D6: eclipse((rows) => rows.withholding, 100, 1_000),
  D7: edge((rows) => rows.D7, 8_000, 1_000_000),
  D8: edge((rows) => rows.D8, 200, 1_000),
  D9: edge((rows) => rows.D9, 300, 5_000),
  D10: edge((rows) => rows.D10, 2_000, 1_000_000),
  D12: pipes((rows) => rows.pipes, 40_000, 1_000_000),
  D13: fuzz((rows) => rows.decoders, 6_000, 1_000_000),
  E1: mesh((rows) => rows.foreign, 300, 10_000),
  E2: mesh((rows) => rows.guessing, 1_200, 1_000_000),
  E3: withdrawal((rows) => rows.withdrawn, 2, 100),
  E4: signals((rows) => rows.forged, 1_200, 10_000),
  E5: middlemen((rows) => rows.middlemen, 50, 1_000),
  E6: phantoms((rows) => rows.phantoms, 20, 1_000),
  E7: sdp((rows) => rows.descriptions, 200, 10_000),
  E8: eclipse((rows) => rows.eclipses, 60, 1_000),
  F1: edge((rows) => rows.F1, 100, 100_000),
  F2: edge((rows) => rows.F2, 1, 20),
  F3: edge((rows) => rows.F3, 60, 10_000),
  F4: edge((rows) => rows.F4, 400, 1_000_000),
  F5: demo((rows) => rows.hostileBoard, 16, 64),
  F6: edge((rows) => rows.F6, 1, 20),
  F7: recovery((rows) => rows.restorers, 12, 1_000),
  erasure: erasure((rows) => rows.erasures, 20, 1_000),
  fences: orders((rows) => rows.fences, 100, 10_000),
  floors: floors((rows) => rows.floors, 11, 1_000),
  forks: orders((rows) => rows.forks, 100, 10_000),
  revocations: orders((rows) => rows.revocations, 100, 10_000),
}

/** What is run in full together: rows that one campaign shows are one job, and long ones stand alone. */
export const campaigns: readonly string[] = [
  'B6',
  'C5',
  'F4',
  'D7',
  'A6,C10,D13',
  'C1',
  'D10',
  'F1,F2,F3,F6,D8,D9',
  'C3,C8',
  'C2,C4,C9',
  'erasure,fences,forks,revocations',
  'D1,D2,D4,D5',
  'D3',
  'A1,A2,A3,A4,A7,A8,A9',
  'A5,C6,C7,F5',
  'B1,B2,B3,B4,B5,B7,B8,B9,B10,B11',
  'C11',
  'E3',
  'E1,E2,E4,E5,E6,E7,E8,D6,D12',
  'F7,floors',
]
