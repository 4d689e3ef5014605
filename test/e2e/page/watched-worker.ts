/** The worker that holds files, with a witness of what it does with them. */
import './watched-files.ts'
import '../../../packages/storage/src/opfs-worker.ts'
