/**
 * Editing traces in the format of josephg/editing-traces, plain or gzipped. A sequential trace is a list of transactions, one after the
 * other; in a concurrent one each transaction names its parents. Positions in a trace count code points; ours count UTF-16 units.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** At this code point, so many removed, this put in. The patches of a transaction apply in sequence. */
export type Patch = readonly [at: number, remove: number, insert: string]

export interface Transaction {
  /** Places of earlier transactions in the trace. */
  readonly parents: readonly number[]
  readonly agent: number
  readonly patches: readonly Patch[]
}

export interface Trace {
  readonly name: string
  readonly kind: 'sequential' | 'concurrent'
  readonly agents: number
  readonly startContent: string
  readonly endContent: string
  readonly transactions: readonly Transaction[]
}

/** What a file holds: the fields this replay reads. */
export interface TraceFile {
  readonly kind?: 'concurrent'
  readonly startContent?: string
  readonly endContent: string
  readonly numAgents?: number
  readonly txns: readonly {
    readonly parents?: readonly number[]
    readonly agent?: number
    readonly patches: readonly Patch[]
  }[]
}

export const traceOf = (name: string, file: TraceFile): Trace => {
  if (typeof file.endContent !== 'string' || !Array.isArray(file.txns)) throw new Error(`${name} is no editing trace`)
  const concurrent = file.kind === 'concurrent'
  return {
    name,
    kind: concurrent ? 'concurrent' : 'sequential',
    agents: concurrent ? (file.numAgents ?? 1) : 1,
    startContent: file.startContent ?? '',
    endContent: file.endContent,
    transactions: file.txns.map(({ parents, agent, patches }, place) => ({
      parents: concurrent ? (parents ?? []) : place === 0 ? [] : [place - 1],
      agent: concurrent ? (agent ?? 0) : 0,
      patches,
    })),
  }
}

export const readTrace = (path: string): Trace => {
  const bytes = readFileSync(path)
  const plain = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes
  return traceOf(basename(path).replace(/\.json(\.gz)?$/, ''), JSON.parse(plain.toString('utf8')))
}

/** One commit to be: the patches of one or more transactions, by the agent that made them. */
export interface Step {
  /** Places of earlier steps. */
  readonly parents: readonly number[]
  readonly agent: number
  readonly patches: readonly Patch[]
}

/**
 * The steps of a trace, `every` edits (patches) in one. A transaction is packed with the one before it only where the graph stays the same:
 * same agent, that one its only parent, and nobody else building on that one.
 */
export const stepsOf = (trace: Trace, every = 1): Step[] => {
  const children = new Array<number>(trace.transactions.length).fill(0)
  for (const { parents } of trace.transactions)
    for (const parent of parents) children[parent] = (children[parent] ?? 0) + 1
  const steps: { parents: readonly number[]; agent: number; patches: Patch[] }[] = []
  const stepAt: number[] = []
  for (const { parents, agent, patches } of trace.transactions) {
    const [parent = -1] = parents
    const place = stepAt[parent] ?? -1
    const open = parents.length === 1 && children[parent] === 1 ? steps[place] : undefined
    // What builds on the last transaction of a step alone is the step's only continuation.
    if (open !== undefined && open.agent === agent && open.patches.length + patches.length <= every) {
      open.patches.push(...patches)
      stepAt.push(place)
    } else {
      stepAt.push(steps.length)
      steps.push({ parents: [...new Set(parents.map((one) => stepAt[one] ?? -1))], agent, patches: [...patches] })
    }
  }
  return steps
}

const astral = /[\u{10000}-\u{10ffff}]/u

/** Whether positions in the trace's texts differ between code points and UTF-16 units. */
export const hasPairs = (trace: Trace): boolean =>
  astral.test(trace.startContent) ||
  trace.transactions.some(({ patches }) => patches.some(([, , insert]) => astral.test(insert)))

/** The place of a code point in units, looking from unit `from`, which is at code point 0. */
export const unitsOf = (text: string, points: number, from = 0): number => {
  let at = from
  for (let left = points; left > 0 && at < text.length; left--) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1
  return at
}
