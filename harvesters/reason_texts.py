"""The English texts of the reasons that a program reads, by code: of the guard, of alerts, and of
records whose key is not theirs alone. Every other reason is its English text.

The catalogues in ``languages/locale`` have all these texts as keys.
"""

from collections.abc import Mapping

TEXTS: Mapping[str, str] = {
    "other": "%(text)s",
    "no_records": "the source returned no records; the last good data stays",
    "too_few_records": "the source returned %(fetched)s records; its definition expects at least %(expected)s",
    "missing": (
        "%(count)s of %(total)s published records are missing (%(share)s); the limit is %(limit)s"
    ),
    "deleted": (
        "%(count)s of %(total)s published records were deleted by the source (%(share)s); "
        "the limit is %(limit)s"
    ),
    "missing_or_deleted": (
        "%(count)s of %(total)s published records are missing or were deleted (%(deleted)s) "
        "(%(share)s); the limit is %(limit)s"
    ),
    "changed": "%(count)s of %(total)s published records changed (%(share)s); the limit is %(limit)s",
    "reidentified": (
        "%(count)s of %(total)s published records have another key (%(share)s); the limit is "
        "%(limit)s"
    ),
    "withheld": (
        "%(count)s of %(total)s records could not be published (%(share)s); the limit is %(limit)s"
    ),
    "keys_repeated": "of these, %(count)s: %(reason)s",
    "too_many_statements": (
        "the record %(key)s has %(count)s statements; the limit is %(limit)s (statements in "
        "[limits] of the source definition)"
    ),
    "too_many_dates": (
        "the recurring events of the file have %(count)s dates; the limit is %(limit)s "
        "(dates in [limits] of the source definition)"
    ),
    "journal_too_large": (
        "the journal would grow by %(size)s bytes for %(received)s bytes received, %(ratio)s "
        "for each; the limit is %(limit)s (journal in [limits] of the source definition)"
    ),
    "on_hold": "%(by)s holds the source since %(since)s UTC",
    "on_hold_because": "%(by)s holds the source since %(since)s UTC: %(note)s",
    "planned_clear": "%(by)s asks to remove all records of the source: %(count)s",
    "planned_forget": "%(by)s asks to remove one record for good",
    "planned_retire": "%(by)s asks to retire the source; its records stay",
    "review": (
        "review it with `stocktake plans show %(run)s --diff`, then `stocktake plans approve "
        "%(run)s` or `stocktake plans reject %(run)s`"
    ),
    "alert_plan_waits": "%(source)s: the change %(run)s waits for approval",
    "alert_failing": "%(source)s: consecutive failures: %(count)s; the last: %(reason)s",
    "alert_late": "%(source)s: no successful run since the last one was due",
    "alert_withheld": "%(source)s: %(count)s of %(total)s records of the last run were withheld",
    "alert_disk_low": "free disk space: %(free)s GB; the limit is %(limit)s GB",
    "alert_submission_waits": "submissions that wait for a moderator: %(count)s",
    "alert_comment_waits": "comments that wait for a moderator: %(count)s",
    "alert_nomination_waits": "nominations for a prize that wait for a decision: %(count)s",
    "alert_test": "a test message, sent by %(by)s",
    "read_up_to": (
        "the list was read up to page %(page)s with %(records)s records, the last of them "
        "%(key)s; then %(error)s"
    ),
    "round_number": (
        "the list ended at a round number of records, %(count)s, and the source reports no "
        "total: it may have more than it lists"
    ),
    "wrong_entry_id": (
        "%(source)s: entry %(number)s of %(url)sjournal/ is %(id)s, but the head said %(expected)s"
    ),
    "journal_gap": "%(source)s: %(url)s is missing, though later entries are there: its journal has a gap",
    "journal_broken": "%(source)s: %(url)s: %(error)s; nothing of this run is published",
    "broken_rule": "%(message)s (%(property)s)",
    "key_repeated": (
        "its key occurred before in this run, in a record with other content; the first "
        "record with it counts"
    ),
    "key_repeated_in_table": (
        "its key occurred before in this run, in a row with other content; the first row "
        "with it counts; to publish both, set the option %(key)s"
    ),
    "joined_row_alone": "sheet %(sheet)s: no record has the key %(key)s",
    "row_without_key": "line %(line)s: the key is empty",
    "same_page": "%(key)s has the same web address as %(other)s of %(source)s",
    "same_content": "%(key)s has the same content as %(other)s of %(source)s",
    "override_used": "%(by)s allowed %(limit)s up to %(value)s once",
    "clock_set_back": (
        "the clock shows %(clock)s, earlier than %(started)s of a previous run; the run uses "
        "the later time"
    ),
    "restores": "restores what was published before %(run)s",
}
