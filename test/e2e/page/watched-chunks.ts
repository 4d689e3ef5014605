import { watchChunks } from './witness.ts'

watchChunks()
