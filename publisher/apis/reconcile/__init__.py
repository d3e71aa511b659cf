"""The Reconciliation Service API 0.2, with which OpenRefine and others match names to our entities.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/
"""
