/**
 * Restores a backup of a real server that went on after it, without the landmarks: the server acknowledges nothing until it is told to go on,
 * and then signs nothing that it may have signed before. What was acknowledged after the backup comes back from a client.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '@weft-db/cli'
import { serve } from '@weft-db/server'
import { Stream } from '../sim/random.ts'
import { Card } from './board.ts'
import { type Member, NodeMember } from './member.ts'
import { freePort, ServerProcess } from './process.ts'
import { until } from './watching.ts'

export interface Restored {
  /** Acknowledged before the server was killed, and of these after the backup. */
  readonly commits: number
  readonly later: number
  /** Of all of them, how many the server lacks or does not acknowledge at the end. */
  readonly lost: number
  /** Whether it acknowledged anything before it was told to go on. */
  readonly isHasty: boolean
  /** What was not expected. */
  readonly oddities: readonly string[]
}

export const restoreServer = async (commits: number, seed: string): Promise<Restored> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-restored-'))
  const [store, backup] = [join(folder, 'store'), join(folder, 'backup')]
  const port = await freePort(new Stream(seed, 'restored').branch('port'))
  const oddities: string[] = []
  const members: Member[] = []
  const cli = async (...args: string[]): Promise<void> => {
    let said = ''
    const take = (text: string): void => {
      said += text
    }
    if ((await run(args, { out: take, error: take })) !== 0) oddities.push(said)
  }
  const first = new ServerProcess(store, port, 'unlimited')
  let second: Awaited<ReturnType<typeof serve>> | undefined
  try {
    await first.says('ready')
    const ada = await NodeMember.join(port, 'Ada', oddities)
    members.push(ada)
    await ada.write(commits)
    await cli('backup', store, backup)
    const before = (await ada.acknowledged()).size
    await ada.write(commits)
    const all = await ada.acknowledged()
    await first.kill()
    await rm(store, { recursive: true })
    await rm(`${store}.landmarks`, { recursive: true })
    await cli('restore', backup, store)
    second = await serve({ schemas: [Card], data: store, port, log: () => undefined })
    const { database } = second
    ada.repository.transact(() => void ada.repository.create(Card, { title: 'meanwhile' }))
    // All that she has is there again, and the quiet in which it would go on if it knew the end.
    await until(database, () => [...database.repositories].some(({ pipeline }) => pipeline.commits.size > all.size))
    const isHasty = ada.repository.unacknowledged === 0 || database.recovering.length !== 2
    await database.acceptLoss()
    await until(ada.database, () => ada.repository.unacknowledged === 0)
    const late = await NodeMember.join(port, 'late', oddities)
    members.push(late)
    await late.holds(all.size + 1)
    const after = await late.acknowledged()
    const lost = [...all].filter((id) => !after.has(id)).length
    return { commits: all.size, later: all.size - before, lost, isHasty, oddities }
  } finally {
    for (const one of members) await one.close()
    await first.kill()
    await second?.close()
    await rm(folder, { recursive: true, force: true })
  }
}
