/** The mesh by seeds, held against what it promises. */
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { type Figures, type Played, Scenario } from './scenario.ts'

export interface FailedMesh {
  readonly seed: string
  readonly what: string
}

export interface MeshOutcome {
  readonly played: readonly (Played & { readonly seed: string })[]
  readonly failed: readonly FailedMesh[]
  readonly seconds: number
}

const reach = { copiesMean: 1.5, serverCopiesMean: 1.2, healSeconds: 10, degreeMax: limits.meshLinks } as const

/** What is not reached, in words. */
export const offencesOf = (figures: Figures): string[] => {
  const offences: string[] = figures.deliveredAll ? [] : ['not delivered to all']
  for (const key of ['copiesMean', 'serverCopiesMean', 'healSeconds', 'degreeMax'] as const) {
    if (figures[key] > reach[key]) offences.push(`${key} ${figures[key]} above ${reach[key]}`)
  }
  return offences
}

/** Fewer commits where there are very many replicas: what is to be seen is in each of them. */
export const commitsFor = (replicas: number): number => (replicas > 3_000 ? 60 : 100)

export const meshCampaign = (options: {
  readonly replicas: number
  readonly from: number
  readonly seeds: number
  readonly report: (line: string) => void
  /** How it stands after each part of each seed. */
  readonly log?: (line: string) => void
}): MeshOutcome => {
  const { replicas, from, seeds, report, log } = options
  const played: (Played & { seed: string })[] = []
  const failed: FailedMesh[] = []
  const began = process.hrtime.bigint()
  for (let number = from; number < from + seeds; number++) {
    const seed = `0x${number.toString(16)}`
    const result = new Scenario({ seed, replicas, commits: commitsFor(replicas) }, log).play()
    played.push({ ...result, seed })
    const what = [...offencesOf(result), ...offencesOf(result.churn).map((offence) => `under churn ${offence}`)]
    if (what.length === 0) continue
    failed.push({ seed, what: what.join(', ') })
    report(
      `FAIL ${what.join(', ')} seed=${seed}\nreplay: npm run sim -- --mesh --replicas ${replicas} --seed ${seed} --log`,
    )
  }
  return { played, failed, seconds: Number(process.hrtime.bigint() - began) / 1e9 }
}

export const figuresInWords = (figures: Figures): string =>
  [
    [figures.replicas, 'replicas'],
    [figures.degreeMax, 'links at most'],
    [figures.hopsP99, 'hops for 99 % of the deliveries'],
    [figures.delayP99, `ms for 99 % of them, ${figures.delayP50} for half`],
    [figures.copiesMean, 'copies that a replica receives of a commit'],
    [figures.serverCopiesMean, 'that the server receives'],
    [figures.bytesPerReplicaPerCommit, 'bytes in all for a commit and replica'],
    [figures.healSeconds, 's to heal'],
    [figures.deliveredAll ? 'every' : 'NOT every', 'commit reached every replica'],
  ]
    .map(([figure, what]) => `${String(figure).padStart(9)} ${what}`)
    .join('\n')
