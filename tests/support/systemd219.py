"""What systemd 219 (RHEL 7) understands in unit files, from its own parser.

An unknown name is dropped there with a line in the journal, and what it was to protect is open.
"""

from typing import Final


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of services and sockets alike: how processes run.
RUNNING: Final = _names(
    """
    AmbientCapabilities AppArmorProfile BlockIOAccounting BlockIODeviceWeight BlockIOReadBandwidth
    BlockIOWeight BlockIOWriteBandwidth CPUAccounting CPUAffinity CPUQuota CPUSchedulingPolicy
    CPUSchedulingPriority CPUSchedulingResetOnFork CPUShares Capabilities CapabilityBoundingSet Delegate
    DeviceAllow DevicePolicy Environment EnvironmentFile ExecStartPost ExecStartPre ExecStopPost Group
    IOSchedulingClass IOSchedulingPriority IgnoreSIGPIPE InaccessibleDirectories KillMode KillSignal
    LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE
    LimitNOFILE LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK MemoryAccounting
    MemoryLimit MountFlags Nice NoNewPrivileges OOMScoreAdjust PAMName PassEnvironment Personality
    PrivateDevices PrivateNetwork PrivateTmp ProtectHome ProtectSystem ReadOnlyDirectories
    ReadWriteDirectories RestrictAddressFamilies RootDirectory RuntimeDirectory RuntimeDirectoryMode
    SELinuxContext SecureBits SendSIGHUP SendSIGKILL Slice SmackProcessLabel StandardError StandardInput
    StandardOutput StartupBlockIOWeight StartupCPUShares SupplementaryGroups SyslogFacility
    SyslogIdentifier SyslogLevel SyslogLevelPrefix SystemCallArchitectures SystemCallErrorNumber
    SystemCallFilter TTYPath TTYReset TTYVHangup TTYVTDisallocate TasksAccounting TasksMax TimeoutSec
    TimerSlackNSec UMask User UtmpIdentifier WorkingDirectory
    """
)

UNIT: Final = _names(
    """
    After AllowIsolate AssertACPower AssertArchitecture AssertCapability AssertDirectoryNotEmpty
    AssertFileIsExecutable AssertFileNotEmpty AssertFirstBoot AssertHost AssertKernelCommandLine
    AssertNeedsUpdate AssertNull AssertPathExists AssertPathExistsGlob AssertPathIsDirectory
    AssertPathIsMountPoint AssertPathIsReadWrite AssertPathIsSymbolicLink AssertSecurity
    AssertVirtualization Before BindTo BindsTo CollectMode ConditionACPower ConditionArchitecture
    ConditionCapability ConditionDirectoryNotEmpty ConditionFileIsExecutable ConditionFileNotEmpty
    ConditionFirstBoot ConditionHost ConditionKernelCommandLine ConditionNeedsUpdate ConditionNull
    ConditionPathExists ConditionPathExistsGlob ConditionPathIsDirectory ConditionPathIsMountPoint
    ConditionPathIsReadWrite ConditionPathIsSymbolicLink ConditionSecurity ConditionVirtualization
    Conflicts DefaultDependencies Description Documentation IgnoreOnIsolate IgnoreOnSnapshot
    JobTimeoutAction JobTimeoutRebootArgument JobTimeoutSec JoinsNamespaceOf OnFailure OnFailureIsolate
    OnFailureJobMode PartOf PropagateReloadFrom PropagateReloadTo PropagatesReloadTo RefuseManualStart
    RefuseManualStop ReloadPropagatedFrom Requires RequiresMountsFor RequiresOverridable Requisite
    RequisiteOverridable SourcePath StopWhenUnneeded Wants
    """
)

SERVICE: Final = RUNNING | _names(
    """
    BusName ExecReload ExecStart ExecStop FailureAction FileDescriptorStoreMax GuessMainPID NonBlocking
    NotifyAccess PIDFile PermissionsStartOnly RebootArgument RemainAfterExit Restart
    RestartForceExitStatus RestartPreventExitStatus RestartSec RootDirectoryStartOnly Sockets
    StartLimitAction StartLimitBurst StartLimitInterval SuccessExitStatus SysVStartPriority
    TimeoutStartSec TimeoutStopSec Type WatchdogSec
    """
)

SOCKET: Final = RUNNING | _names(
    """
    Accept Backlog BindIPv6Only BindToDevice Broadcast DeferAcceptSec DirectoryMode ExecStopPre FreeBind
    IPTOS IPTTL KeepAlive KeepAliveIntervalSec KeepAliveProbes KeepAliveTimeSec ListenDatagram
    ListenFIFO ListenMessageQueue ListenNetlink ListenSequentialPacket ListenSpecial ListenStream Mark
    MaxConnections MessageQueueMaxMessages MessageQueueMessageSize NoDelay PassCredentials PassSecurity
    PipeSize Priority ReceiveBuffer RemoveOnStop ReusePort SendBuffer Service SmackLabelIPIn
    SmackLabelIPOut SocketGroup SocketMode SocketUser Symlinks TCPCongestion Transparent
    """
)

INSTALL: Final = _names(
    """
    Alias Also DefaultInstance RequiredBy WantedBy
    """
)

SECTIONS: Final = {"Unit": UNIT, "Service": SERVICE, "Socket": SOCKET, "Install": INSTALL}

# Values that came later; 219 ignores the line.
VALUES: Final = {
    "Type": _names("simple forking oneshot dbus notify idle"),
    "NotifyAccess": _names("none main all"),
    "ProtectSystem": _names("yes no true false full"),
    "ProtectHome": _names("yes no true false read-only"),
    "KillMode": _names("none process control-group mixed"),
    "Restart": _names("no on-success on-failure on-abnormal on-watchdog on-abort always"),
}
