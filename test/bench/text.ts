/**
 * A paper being written, edit by edit: what applying an edit costs, and what the whole history takes. The trace has no times, so
 * somebody who types five characters a second is assumed where time matters.
 */
import { existsSync } from 'node:fs'
import type { Area } from './area.ts'
import { Child } from './child.ts'
import type { Figure, Role } from './figure.ts'
import type { Stretch, Written } from './text-engines.ts'

const area = 'text'
const engines: Readonly<Record<string, Role>> = { weft: 'weft', Yjs: 'peer', Automerge: 'peer', Loro: 'peer' }
/** Edits in a transaction of a peer, and between two captures of ours. */
const perStretch = 1_000
const quickEdits = 15_000
const figures = { applied: 4, unsigned: 130_000 } as const

export const text: Area = async ({ quick, trace }) => {
  if (!existsSync(trace)) {
    console.error(`text is left out: there is no trace at ${trace}, and --trace FILE names another`)
    return []
  }
  const whole = await Promise.all(
    Object.keys(engines).map(async (engine) => ({ engine, child: Child.start(`text/${engine}`) })),
  )
  const typing = Child.start('text/weft typing')
  try {
    const children: typeof whole = []
    for (const one of whole) if (await one.child.ask<boolean>('isReady')) children.push(one)
    let edits = 0
    for (const { child } of children) edits = await child.ask<number>('open', trace)
    const all = edits
    if (quick) edits = Math.min(edits, quickEdits)
    const name = `${edits.toLocaleString('en-US')} edits of ${trace.replace(/^.*\/|\.json(\.gz)?$/g, '')}`
    const spent = new Map(children.map(({ engine }) => [engine, { cpu: 0, behind: 0 }]))
    for (let from = 0; from < edits; from += perStretch) {
      for (const { engine, child } of children) {
        const { cpu, behind } = await child.ask<Stretch>('type', from, Math.min(edits, from + perStretch))
        const sum = spent.get(engine)
        if (sum === undefined) continue
        sum.cpu += cpu
        sum.behind += behind
      }
    }
    const found: Figure[] = []
    const add = (engine: string, metric: string, value: number, unit: string, limit?: number): void => {
      const role = engines[engine] ?? 'note'
      found.push({ area, case: name, engine, role, metric, value, unit, ...(limit !== undefined && { limit }) })
    }
    for (const { engine, child } of children) {
      const { cpu, behind } = spent.get(engine) ?? { cpu: 0, behind: 0 }
      const ours = engine === 'weft'
      add(engine, 'applied, an edit', cpu / edits, 'µs CPU', ours ? figures.applied : undefined)
      if (ours) add(engine, 'captured, signed and stored, an edit', behind / edits, 'µs CPU')
      const { bytes, unsigned } = await child.ask<Written>('written', edits === all)
      // The limit is about the whole trace; a part of it may take its part.
      add(
        engine,
        'history, without signatures',
        unsigned ?? bytes,
        'B',
        ours ? (figures.unsigned * edits) / all : undefined,
      )
    }

    await typing.ask('open', trace)
    let cpu = 0
    for (let from = 0; from < edits; from += perStretch) {
      const stretch = await typing.ask<Stretch>('type', from, Math.min(edits, from + perStretch))
      cpu += stretch.cpu + stretch.behind
    }
    const { bytes, unsigned = bytes, commits = 0 } = await typing.ask<Written>('written', edits === all)
    const typed = `${name}, five a second`
    const line = (metric: string, value: number, unit: string): Figure => ({
      area,
      case: typed,
      engine: 'weft',
      role: 'weft',
      metric,
      value,
      unit,
    })
    found.push(
      line('commits, three a second', commits, 'commits'),
      line('log, with signatures', bytes, 'B'),
      line('log, without signatures', unsigned, 'B'),
      line('log, with signatures, a commit', bytes / commits, 'B'),
      line('applied, captured, signed and stored, a commit', cpu / commits, 'µs CPU'),
    )
    return found
  } finally {
    for (const { child } of whole) await child.end()
    await typing.end()
  }
}
