//! The ways to be wrong.

/// One way to break one clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    // C1
    CommitsOneByOne,
    StopsAtAConflict,
    RemembersPeersLast,
    SettlesForEveryone,
    RemembersRecipients,
    // C2
    ForgetsAtReopening,
    LosesTheLastCommit,
    BacksUpNothing,
    // C3
    CountsEveryAttempt,
    AlwaysSaysApplied,
    AppliesKnownPeers,
    DeliversDuplicates,
    ImportsTwice,
    // C4
    ForgetsIdentitiesAtReopening,
    IgnoresFingerprints,
    IgnoresStamps,
    RecordsWhatItIsAskedFor,
    RecordsImports,
    IgnoresEpochs,
    IgnoresGroups,
    ForgetsSettledIdentities,
    KeepsEveryIdentity,
    // C5
    ReusesSequences,
    ReversesPages,
    ShowsLate,
    // C6
    IncludesAfter,
    IgnoresItems,
    IgnoresBytes,
    NeverSaysMore,
    SaysMoreWhenFull,
    WithholdsOversized,
    SkipsSharedSequences,
    FiltersByPrefix,
    MendsTexts,
    CountsDeadLettersOnce,
    DatesImports,
    CountsFromZero,
    // C7
    RedrivesInPlace,
    RedrivesWithAttempts,
    RedrivesTwice,
    // C8
    CommitsInHalves,
    LosesDroppedCommits,
    StaysBusyWhenDropped,
    // C9
    IgnoresBudget,
    PurgesPending,
    NeverExpires,
    NeverPurges,
    NeverSaysMoreToPurge,
    KeepsTheFarthestHorizon,
    NeverReusesRoom,
    PurgesDeadLetters,
    PurgesTraces,
    // C10
    LeavesGapsByChance,
    // C11
    OpensTwice,
    NeverFreesItsPlace,
    AnswersWhenClosed,
    OpensDamaged,
    WritesOverDamage,
    // C12
    ForgetsTags,
    KeepsFirstLastSeen,
    ForgetsTheRelay,
    ReplacesPeers,
    NeverForgetsPeers,
    ForgetsAliases,
    OnlyRemembersWhoAdopts,
    DropsWhatAnAliasIsOwed,
    LosesDeadLettersOfAnAlias,
    // C13
    TellsNoExchange,
    TellsHalfOfAnExchange,
    TellsExchangesTwice,
    TellsAllAsAcknowledged,
    NeverHasEnoughShown,
}
