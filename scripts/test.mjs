// Runs the tests that need no editor on the Node that runs this file.
import { preparePython } from '../test/clients/python.ts';
import { installPrograms } from '../test/support/debian.ts';
import { runTests, testFiles } from './runTests.mjs';

installPrograms();
preparePython();
process.exitCode = runTests(process.execPath, testFiles, { args: process.argv.slice(2) });
