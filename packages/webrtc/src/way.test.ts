import { expect, test } from 'vitest'
import { goesByRelay } from './way.ts'

const candidates = [
  { id: 'here', type: 'local-candidate', candidateType: 'host' },
  { id: 'here by relay', type: 'local-candidate', candidateType: 'relay' },
  { id: 'there', type: 'remote-candidate', candidateType: 'srflx' },
  { id: 'there by relay', type: 'remote-candidate', candidateType: 'relay' },
]
const pair = (id: string, local: string, remote: string, more: object = {}) => ({
  id,
  type: 'candidate-pair',
  localCandidateId: local,
  remoteCandidateId: remote,
  ...more,
})
const transport = (selected: string) => ({ id: 'T', type: 'transport', selectedCandidatePairId: selected })
const direct = pair('direct', 'here', 'there')
const near = pair('near', 'here by relay', 'there')
const far = pair('far', 'here', 'there by relay')
const good = { nominated: true, state: 'succeeded' }

test.each<[string, object[], boolean]>([
  ['the selected pair is direct', [near, direct, far, transport('direct')], false],
  ['the selected pair has a relay here', [direct, near, transport('near')], true],
  ['the selected pair has a relay there', [direct, far, transport('far')], true],
  ['without a transport, the pair that is marked', [direct, { ...far, selected: true }, { ...direct, ...good }], true],
  [
    'without a mark, the pair that was nominated and works',
    [
      { ...direct, ...good },
      { ...near, state: 'failed' },
    ],
    false,
  ],
  ['a relay that was nominated and works', [direct, { ...near, ...good }], true],
  ['a relay that was nominated and failed', [{ ...near, nominated: true, state: 'failed' }], false],
  ['a transport that names a pair that is not there', [near, transport('gone')], false],
  ['nothing', [], false],
])('%s', (_, reports, relayed) => {
  const all: object[] = [...candidates, ...reports]
  const named = new Map(all.map((report) => [String(Reflect.get(report, 'id')), report]))
  expect(goesByRelay(named)).toBe(relayed)
})
