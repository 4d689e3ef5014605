import { memoryFiles } from '@weft-db/storage/memory'
import { expect, test } from 'vitest'
import { Journal } from '../../packages/engine/src/replica/journal.ts'
import { TabFiles } from '../../packages/weft/src/tabs/files.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

test('files that a tab has let go are no damaged log to its replica, which goes on writing', async () => {
  const stored = memoryFiles()
  const incidents: string[] = []
  const onIncident = ({ code }: { code: string }): void => void incidents.push(code)
  const entry = (text: string) => [{ kind: 1, payload: new TextEncoder().encode(text) }]
  const options = { header: bytes(1), onIncident }
  const first = await Journal.open(stored, 'a.log', options)
  await first.journal.append(entry('one'))
  await first.journal.close()

  // As files that are read before they are stored: such a log is copied when it is opened, and has no handle afterwards.
  const { readsOnlyStored: _, ...plain } = stored
  const files = new TabFiles(plain, async () => bytes(9))
  const { journal } = await Journal.open(files, 'a.log', options)
  files.letGo()
  await journal.append(entry('two'))
  await journal.append(entry('three'))
  expect(incidents).toEqual([])
})
