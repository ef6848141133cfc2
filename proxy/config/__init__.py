"""What people write in `taximeter.yaml`, and how it becomes `proxy.settings.Settings`: read, check, resolve, report.

Only the supervisor and the command line read configuration; the processes they start get plain settings. Every
mistake of a file is reported at once, each with its line and what would be right; no value of a file is ever repeated
in a report, since any of them may be a secret that was put in the wrong place.

Start at `load`. Import the modules themselves: `credentials` is used where the schema library must not be.
"""
