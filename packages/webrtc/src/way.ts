/** Which way a connection goes, from its statistics (W3C webrtc-stats), which platforms give in parts. */

/** Whether the pair of candidates in use has a relay on either side. Where that is not told, it has none. */
export const goesByRelay = (reports: ReadonlyMap<string, object>): boolean => {
  const pair = inUse(reports)
  return ['localCandidateId', 'remoteCandidateId'].some(
    (side) => property(reports.get(String(property(pair, side))), 'candidateType') === 'relay',
  )
}

const inUse = (reports: ReadonlyMap<string, object>): object | undefined => {
  const all = [...reports.values()]
  const ofType = (type: string): object[] => all.filter((report) => property(report, 'type') === type)
  for (const transport of ofType('transport')) {
    const selected = reports.get(String(property(transport, 'selectedCandidatePairId')))
    if (selected) return selected
  }
  // Firefox names no transport, and marks the pair.
  const pairs = ofType('candidate-pair')
  return (
    pairs.find((pair) => property(pair, 'selected') === true) ??
    pairs.find((pair) => property(pair, 'nominated') === true && property(pair, 'state') === 'succeeded')
  )
}

const property = (of: object | undefined, name: string): unknown => of && Reflect.get(of, name)
