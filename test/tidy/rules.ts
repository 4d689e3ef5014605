/** Style as a test, after TigerBeetle's tidy.zig: all rules over all files. */
import { graphOffences } from './graph.ts'
import { namingOffences } from './naming.ts'
import { purityOffences } from './purity.ts'
import type { Offence, Source } from './source.ts'
import { textOffences } from './text.ts'
import { typeOffences } from './types.ts'
import { waitingOffences } from './waiting.ts'

const rules = [graphOffences, purityOffences, namingOffences, waitingOffences, typeOffences, textOffences]

export const tidy = (sources: readonly Source[]): Offence[] => rules.flatMap((rule) => rule(sources))
