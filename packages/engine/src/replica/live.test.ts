import { expect, test } from 'vitest'
import { emptyState } from '../merge/state.ts'
import { string, text } from '../schema/field.ts'
import { schema } from '../schema/schema.ts'
import { LiveItem, type LiveOwner } from './live.ts'

const Thing = schema('thing', 1, { title: string(), notes: text() })

const unused = (): never => {
  throw new Error('nobody asked for this')
}

test('is needed by the time its owner hears so, or the owner would let it go again', () => {
  const heard: boolean[] = []
  const owner: LiveOwner = {
    merged: unused,
    needed: (live) => void heard.push(live.isNeeded),
    saved: unused,
    savedState: unused,
    lastChange: unused,
    editing: () => undefined,
    threw: unused,
    dirty: () => undefined,
    changed: () => undefined,
  }
  const item = (): LiveItem =>
    new LiveItem('key', Thing, { name: 'thing', version: 1, hash: '' }, owner, { state: emptyState, heads: [] })
  const [told, followed, edited] = [item(), item(), item()]
  const stops = [told.subscribe(() => undefined), followed.subscribeText('notes', () => undefined)]
  edited.touch()
  expect(heard).toEqual([true, true, true])
  for (const stop of stops) stop()
  expect([told, followed, edited].map(({ isNeeded }) => isNeeded)).toEqual([false, false, true])
})
