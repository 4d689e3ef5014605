/** What a checkpoint may cover while the disk is at work. */
import { expect, test } from 'vitest'
import { board, Card, diskFull, gate, Lab } from './lab.ts'

test('[H2] a checkpoint that is made while a commit is being stored does not cover it', async () => {
  const lab = new Lab('covering')
  const authority = await lab.authority()
  const ada = await lab.join('ada', { captureRate: 1_000 })
  const hers = ada.database.repository(board)
  await lab.run(500)
  const write = async (title: string, ms: number): Promise<void> => {
    hers.create(Card, { title })
    hers.flush()
    await lab.run(ms)
  }
  await write('first', 5_000)
  // The next checkpoint is due a while after this one.
  await write('covered at once', 20)
  await write('covered in a while', 20)
  const disk = gate()
  authority.faults.hold = disk.promise
  await write('not stored', 5_000)
  authority.faults.sync = diskFull
  authority.faults.hold = undefined
  disk.open()
  await lab.run(1)
  lab.disconnect('ada')
  authority.faults.sync = undefined
  await lab.run(10_000)
  const { pipeline } = authority.database.repository(board)
  const covered = pipeline.log.entries.flatMap(({ statement }) =>
    statement.kind === 'checkpoint' ? statement.moved.map(({ id }) => id) : [],
  )
  expect(covered.length).toBeGreaterThan(2)
  expect(pipeline.commits.size).toBe(3)
  expect(covered.filter((id) => !pipeline.commits.has(id))).toEqual([])
})
