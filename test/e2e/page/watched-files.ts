import { watchFiles } from './witness.ts'

watchFiles()
